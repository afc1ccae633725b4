"""Drives flows: one VendorSession for one connection and one run of work."""

import functools
import logging
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import httpx
import msgspec

from sync_pipelines.http_client.answers import check_answer, http_date
from sync_pipelines.http_client.auth import BearerTokens
from sync_pipelines.http_client.budget import SentCall
from sync_pipelines.http_client.pace import pace_of
from sync_pipelines.http_client.retry import LONGEST_WAIT, retrying
from sync_pipelines.http_client.wire import wire
from sync_pipelines.model.budget import Hold
from sync_pipelines.model.connection import Connection, Credentials, OAuthClient
from sync_pipelines.model.errors import (
    ConfigurationError,
    NetworkError,
    ProtocolError,
    Reauthorize,
    Stopped,
    SyncError,
    Wait,
)
from sync_pipelines.model.flow import Flow, Notice, Page, Params, Pause, Request, Response
from sync_pipelines.model.provider import Hosts, Provider, Tokens

log = logging.getLogger(__name__)

USER_AGENT: Final = "sync-pipelines"


def _with_params(place: httpx.URL, params: Params) -> dict[str, bytes]:
    """The request target, as the extension of httpx for it. In a URL a long query would be looked at letter by letter,
    several times, which cost more than all else of a request."""
    if not params:
        return {}
    query = urlencode(params, doseq=True, quote_via=quote, safe=",").encode()
    return {"target": place.raw_path + (b"&" if place.query else b"?") + query}


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the certificate store costs a tenth of a second of CPU, so the process does it once."""
    return httpx.create_ssl_context()


class VendorSession:
    """One connection's conversation with its vendor. To be used by one thread.

    `calls` counts requests sent, refreshes and retries included. `quota` is the vendor's newest (used, allowed).
    `reserve` is the share of the account's calls that is left to others.
    `notices` are those of flows that were asked; those of a read come out of it. `failed`: a flow ended in an error.
    """

    def __init__(  # noqa: PLR0913 - who we are, then switches with defaults
        self,
        provider: Provider,
        connection: Connection,
        credentials: Credentials,
        client: OAuthClient,
        *,
        timeout: float = 60,
        attempts: int = 6,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] | None = None,
        stop: threading.Event | None = None,
        reserve: float = 0.0,
    ) -> None:
        self.count_anew()
        self.failed = False
        self.opened_at = time.monotonic()
        self.connection = connection
        self._provider = provider
        self._auth = BearerTokens(provider, credentials, client, self._ask_for_tokens)
        self._stop = stop or threading.Event()
        self._nap: Callable[[float], object] = sleep or self._stop.wait
        self._pace = pace_of(provider, connection, reserve)
        self._retrying = retrying(attempts, self._sleep)
        self._clock: tuple[datetime, float] | None = None
        transport = transport or wire(_tls)
        self._http = httpx.Client(
            transport=transport,
            timeout=timeout,
            follow_redirects=False,
            headers={"user-agent": USER_AGENT, "accept": "application/json"},
            verify=_tls() if transport is None else False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the network connections."""
        self._http.close()

    def count_anew(self) -> None:
        """Another piece of work begins."""
        self.calls = 0
        self.quota: tuple[int, int] | None = None
        self.notices: list[Notice] = []

    def read(self, flow: Flow) -> Iterator[Page | Notice]:
        """Drive a read. ProtocolError when the vendor sends us back to a page that we had."""
        return self._drive(flow)

    def ask(self, flow: Flow) -> Any:
        """Drive a flow that answers a question, to its return value."""
        driven = self._drive(flow)
        while True:
            try:
                step = next(driven)
            except StopIteration as finished:
                return finished.value
            if isinstance(step, Notice):
                self.notices.append(step)

    def vendor_now(self) -> datetime:
        """The vendor's clock, UTC, by its newest Date header; our own clock if it never answered."""
        if self._clock is None:
            return datetime.now(UTC)
        told, at = self._clock
        return told + timedelta(seconds=time.monotonic() - at)

    @property
    def hold(self) -> Hold | None:
        """Until when no call of this account is wanted, as far as this process knows."""
        return self._pace.budget.hold

    def _drive(self, flow: Flow) -> Generator[Page | Notice, None, Any]:
        had: set[bytes] = set()
        try:
            step = next(flow)
            while True:
                answer: Response | None = None
                match step:
                    case Request():
                        try:
                            answer = self._call(step)
                        except SyncError as error:
                            step = flow.throw(error)
                            continue
                    case Pause(seconds):
                        self._sleep(seconds)
                    case Page():
                        self._refuse_repeated(step, had)
                        yield step
                    case Notice():
                        yield step
                step = flow.send(answer)
        except StopIteration as finished:
            return finished.value
        except SyncError as error:
            self.failed = True
            # A broken answer may repeat what we sent too, and the error shows where it begins.
            self._auth.mask(error)
            raise
        except Exception:
            self.failed = True
            raise
        finally:
            flow.close()

    def _refuse_repeated(self, page: Page, had: set[bytes]) -> None:
        if page.resume is None:
            return
        token = msgspec.json.encode(page.resume, order="sorted")
        if token in had:
            raise ProtocolError(
                f"{self._provider.title} sent the same page token twice; reading on would never end. "
                "Run the sync again; if it happens again, report it to the vendor.",
                detail=f"token {token!r}",
            )
        had.add(token)

    def _call(self, request: Request) -> Response:
        try:
            return self._retrying(self._attempt, request)
        except Reauthorize as refusal:
            self._auth.expire(refusal)
            raise
        except Wait as wait:
            if wait.until is not None and wait.until - datetime.now(UTC) <= LONGEST_WAIT:
                # It was waited for, several times and in vain: whoever schedules lets the pauses grow.
                wait.until = None
            raise

    def _attempt(self, request: Request) -> Response:
        tokens = self._auth.current() if request.authorized else None
        response = self._send(request, tokens)
        if response.status == 401 and tokens is not None and 401 not in request.accept:
            response = self._send(request, self._auth.renewed(tokens))
            if response.status == 401:
                raise Reauthorize(
                    f"{self._provider.title} refuses even a fresh access token: the customer must connect again."
                )
        return self._checked(request, response)

    def _ask_for_tokens(self, request: Request) -> Response:
        return self._checked(request, self._send(request, None))

    def _checked(self, request: Request, response: Response) -> Response:
        try:
            check_answer(self._provider, request, response)
        except Wait as wait:
            if wait.until is not None:
                self._hold_others(request, response, wait, wait.until)
            raise
        return response

    def _hold_others(self, request: Request, response: Response, wait: Wait, until: datetime) -> None:
        """What one call was told holds for all sessions of the account."""
        pause = until - datetime.now(UTC)
        if wait.whole_account or (request.family == "api" and pause > LONGEST_WAIT):
            self._pace.budget.stay_away(Hold(until=until, reason=str(wait)))
        if response.status == 429:
            self._pace.hold(request.family, pause.total_seconds())

    def _send(self, request: Request, tokens: Tokens | None) -> Response:
        headers = dict(request.headers)
        if tokens is not None:
            headers["authorization"] = f"Bearer {tokens.access_token.reveal()}"
        url = self._url(request, tokens)
        try:
            place = httpx.URL(url)
            with (
                self._pace.turn(request.family, self._sleep, functools.partial(self._respect_pause, request)),
                self._counted(request) as sent,
            ):
                self.calls += 1
                started = time.monotonic()
                answer = self._http.request(
                    request.method,
                    place,
                    json=request.json,
                    data=request.form,
                    headers=headers,
                    extensions=_with_params(place, request.params),
                )
                sent.told = self._provider.usage(answer.headers)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as problem:
            raise ConfigurationError(
                f"{self._provider.title} cannot be called: check the login URL and API URL of the provider.",
                detail=f"{request.method} {request.path}: {type(problem).__name__}",
            ) from None
        except httpx.RequestError as problem:
            log.debug("%s %s -> %s", request.method, request.path, type(problem).__name__)
            raise NetworkError(
                f"{self._provider.title} could not be reached ({type(problem).__name__}); it will be tried again.",
                detail=f"{request.method} {request.path}: {problem}",
            ) from problem
        self.quota = sent.told or self.quota
        return self._noted(request, answer, time.monotonic() - started)

    def _counted(self, request: Request) -> AbstractContextManager[SentCall]:
        """The call's part in the account's budget. Vendors do not count requests for tokens."""
        return self._pace.budget.call() if request.host == "api" else nullcontext(SentCall(0, 0))

    def _respect_pause(self, request: Request) -> None:
        """A long pause ends the work, whichever object's call was told of it: no thread sleeps through it."""
        if request.host == "api":
            self._pace.budget.refuse_if_held()
        pause = timedelta(seconds=self._pace.held(request.family))
        if pause > LONGEST_WAIT:
            raise Wait(
                f"{self._provider.title} asked for a pause; the sync goes on by itself after it.",
                until=datetime.now(UTC) + pause,
            )

    def _noted(self, request: Request, answer: httpx.Response, seconds: float) -> Response:
        body = answer.content
        # httpx's response and its stream hold each other, so that pages of megabytes would wait for garbage collection.
        answer.stream = httpx.ByteStream(b"")
        if answer.status_code >= 300 or body[:1] == b"<":
            # Debugging proxies repeat what we sent, and parts of a refusal go into errors and notices.
            body = self._auth.masked(body)
        response = Response(answer.status_code, dict(answer.headers), body)
        log.debug(
            "%s %s -> %s, %d bytes in %.0f ms",
            request.method,
            request.path.partition("?")[0],
            response.status,
            len(response.body),
            seconds * 1000,
            extra={"provider": self._provider.name, "customer_id": self.connection.customer_id},
        )
        window = self._provider.window(response.headers)
        if window is not None:
            self._pace.heed(request.family, window)
        told = http_date(response.headers.get("date", ""))
        if told is not None:
            self._clock = (told, time.monotonic())
        return response

    def _url(self, request: Request, tokens: Tokens | None) -> str:
        root = self._root(request, tokens).rstrip("/")
        if not request.path.startswith(("http://", "https://")):
            return root + request.path
        if not request.path.startswith(root + "/"):
            raise ProtocolError(f"{self._provider.title} points to another server for its next page; not followed.")
        return request.path

    def _root(self, request: Request, tokens: Tokens | None) -> str:
        hosts: Hosts | None = self._provider.environments.get(self.connection.environment)
        if hosts is None:
            raise ConfigurationError(
                f"{self._provider.title} has no environment {self.connection.environment!r}: "
                f"choose one of {', '.join(sorted(self._provider.environments))}."
            )
        if request.host == "login":
            return self.connection.login_url or hosts.login
        root = self.connection.api_url or (tokens.api_url if tokens else None) or hosts.api
        if root is None:
            raise Reauthorize(f"{self._provider.title} never told where the account lives: connect the customer again.")
        return root

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._nap(seconds)
        self.check_stop()

    def check_stop(self) -> None:
        """Stopped when somebody wants this work to end."""
        if self._stop.is_set():
            raise Stopped("The run was told to stop; the next one goes on from the checkpoint.")
