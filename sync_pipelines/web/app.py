"""The pages as an application of their own: routes, and what becomes of whatever goes wrong."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sync_pipelines.model.errors import ConfigurationError, SyncError
from sync_pipelines.project import Project
from sync_pipelines.web import leaving, logging_in, mapping, status
from sync_pipelines.web.site import Site
from sync_pipelines.web.visit import Go, Page, Problem, Visit, said
from sync_pipelines.web.words import in_words, moment

log = logging.getLogger(__name__)

Endpoint: TypeAlias = Callable[[Visit], Page | Go]

ROUTES: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("HEAD", "/open/{token}", logging_in.show_link),
    ("GET", "/open/{token}", logging_in.show_link),
    ("POST", "/open/{token}", logging_in.open_link),
    ("GET", "/", status.home),
    ("POST", "/test", status.test),
    ("POST", "/authorize", logging_in.authorize),
    ("GET", "/callback", logging_in.callback),
    ("POST", "/confirm", logging_in.confirm),
    ("POST", "/key", logging_in.key),
    ("GET", "/objects/{object}", mapping.edit),
    ("POST", "/objects/{object}", mapping.edit),
    ("POST", "/objects/{object}/look", mapping.look),
    ("POST", "/objects/{object}/save", mapping.save),
    ("GET", "/disconnect", leaving.ask),
    ("POST", "/disconnect", leaving.disconnect_account),
)
STATIC: Final = {"connect.css": "text/css", "connect.js": "text/javascript", "connect.svg": "image/svg+xml"}


@dataclass(frozen=True)
class Desk:
    """What every page needs. `strangers`: counts a call from an address that opened nothing, and says how many seconds
    it has to wait; 0: none."""

    project: Project
    render: Environment
    strangers: Callable[[str | None], int]


def create_pages(project: Project, strangers: Callable[[str | None], int]) -> Starlette:
    """The pages of an opened project, to be mounted at /connect. `strangers`: see `Desk`."""
    desk = Desk(project, _renderer(), strangers)
    routes = [_route(method, path, _page(desk, endpoint)) for method, path, endpoint in ROUTES]
    routes += [Route(f"/{name}", _file(name, kind)) for name, kind in STATIC.items()]
    nowhere = _page(desk, _nowhere)
    return Starlette(routes=routes, exception_handlers={404: nowhere, 405: nowhere})


def _route(method: str, path: str, page: Callable[..., Awaitable[Response]]) -> Route:
    route = Route(path, page, methods=[method])
    # Starlette would have GET's pages answer HEAD too, and one of them takes what a vendor gave.
    route.methods = {method}
    return route


def _renderer() -> Environment:
    environment = Environment(
        loader=PackageLoader("sync_pipelines.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["moment"] = moment
    return environment


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("sync_pipelines.web").joinpath("static", name).read_bytes()

    def answer(request: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=300"})

    return answer


def _page(desk: Desk, endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request, error: Exception | None = None) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answered, desk, endpoint, request, body)

    return answer


def _answered(desk: Desk, endpoint: Endpoint, request: Request, body: bytes) -> Response:
    site = Site("")
    try:
        site = Site.of(desk.project.settings, f"{request.url.scheme}://{request.url.netloc}")
        visit = _visit(desk.project, site, request, body)
        found = endpoint(visit)
    except Problem as problem:
        found = _problem(problem.status, problem.title, problem.text, again=problem.again)
        if problem.stranger and (wait := desk.strangers(request.client and request.client.host)):
            found = _problem(429, "Too many tries", f"Try again in {wait} seconds.", again=False, wait=wait)
    except SyncError as problem:
        if isinstance(problem, ConfigurationError):
            log.warning("a connect page failed: %s", problem)
        found = _problem(503, "That did not work", in_words(problem.error_type, "The service", said(site)))
    except DBAPIError as problem:
        log.error("The store failed: %s", type(problem.orig).__name__)
        found = _problem(503, "That did not work", "The service is being looked after. Try again in a minute.")
    except Exception:
        log.exception("%s %s failed", request.method, endpoint.__name__)
        found = _problem(500, "That did not work", f"It is our fault. Try again; if it stays, tell {said(site)}.")
    return _response(site, found, desk.render)


def _visit(project: Project, site: Site, request: Request, body: bytes) -> Visit:
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=5_000))
    except ValueError:
        raise Problem(400, "This page is out of date", "Open it again and repeat what you did.") from None
    return Visit(
        project=project,
        site=site,
        parts=request.path_params,
        query=dict(request.query_params),
        form=form,
        cookies=request.cookies,
        embedded=request.headers.get("sec-fetch-dest") == "iframe",
        from_elsewhere=request.headers.get("sec-fetch-site", "same-origin") != "same-origin",
    )


def _response(site: Site, found: Page | Go, render: Environment) -> Response:
    response: Response
    if isinstance(found, Go):
        response = RedirectResponse(found.url, status_code=303)
    else:
        values: dict[str, Any] = {"site": site, "product": site.product, "again": False, **found.values}
        response = HTMLResponse(render.get_template(found.template).render(values), status_code=found.status)
        if found.wait:
            response.headers["Retry-After"] = str(found.wait)
    response.headers.update(site.headers())
    for cookie in found.cookies:
        response.headers.append("Set-Cookie", cookie)
    return response


def _problem(status: int, title: str, text: str, *, again: bool = True, wait: int = 0) -> Page:
    values = {"title": title, "text": text, "again": again}
    return Page(template="problem.html", status=status, values=values, wait=wait)


def _nowhere(visit: Visit) -> Page:
    known = visit.has_session
    raise Problem(404, "There is no such page", "Go back to where you came from.", again=known, stranger=not known)
