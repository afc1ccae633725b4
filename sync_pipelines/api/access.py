"""Who calls, and what the caller may do and see."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sync_pipelines.api.pace import place_of
from sync_pipelines.api.problems import Refused, not_found
from sync_pipelines.api.query_names import refuse_unknown_names
from sync_pipelines.project import Project
from sync_pipelines.store.tokens import SCOPES, ApiToken

_ALLOWED = "".join(f"\n- `{name}`: {allows}" for name, allows in SCOPES.items())
_bearer = HTTPBearer(
    auto_error=False,
    description=f"A token made by `sync-pipelines token new`. Its scopes say what it may do:\n{_ALLOWED}",
)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sync_pipelines"'}


@dataclass(frozen=True)
class Caller:
    """A caller with a token that works. `customer_id` None: may see every customer."""

    token: ApiToken

    @property
    def customer_id(self) -> str | None:
        return self.token.customer_id

    @property
    def actor(self) -> str:
        """How the audit names it."""
        return f"api:{self.token.name}"

    def sees(self, customer_id: str) -> bool:
        return self.customer_id is None or self.customer_id == customer_id

    def of_all(self) -> None:
        """Refused for a caller that is bound to one customer."""
        if self.customer_id is not None:
            raise Refused(403, "This token is for one customer; what concerns all customers needs a token for all.")

    def only(self, customers: list[str] | None) -> list[str] | None:
        """The customers that are meant: a bound caller's own where none is named. Refused where it names others."""
        if self.customer_id is None:
            return customers
        if customers is not None and customers != [self.customer_id]:
            raise Refused(403, f"This token is for the customer {self.customer_id} alone: name no other.")
        return [self.customer_id]


def project_of(request: Request) -> Project:
    project: Project = request.app.state.project
    return project


def _caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    if given is None:
        slow_down(request)
        raise Refused(401, "No token was sent: send `Authorization: Bearer TOKEN`.", headers=_CHALLENGE)
    token = project_of(request).store.tokens.find(given.credentials)
    if token is None or not token.works(datetime.now(UTC)):
        slow_down(request)
        why = "is not known" if token is None else "was revoked or has expired"
        raise Refused(
            401,
            f"The token {why}: make one with `sync-pipelines token new`.",
            headers={**_CHALLENGE, "WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'},
        )
    request.app.state.pace.take(token.id, "with this token")
    project_of(request).together.refresh()
    return Caller(token)


def slow_down(request: Request, who: str = "without a token that works") -> None:
    """Whoever calls without a token that works, or sends what no vendor sent, is slowed down by address. What works is
    never refused for it: others may share the address."""
    address = None if request.client is None else request.client.host
    request.app.state.strangers.take(place_of(address), who)


def allowed(scope: str) -> Callable[..., Caller]:
    """A dependency: the caller, whose token has this scope, and who asks for nothing that the call does not take."""

    def check(request: Request, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if scope not in caller.token.scopes:
            raise Refused(403, f"This token may not do that: it needs the scope {scope}.")
        refuse_unknown_names(request)
        return caller

    return check


def seen(caller: Caller, customer_id: str) -> None:
    """A bound caller cannot tell another customer from one that there is not."""
    if not caller.sees(customer_id):
        raise not_found(f"There is no customer {customer_id}.")


TheProject = Annotated[Project, Depends(project_of)]
SyncsReader = Annotated[Caller, Depends(allowed("syncs:read"))]
SyncsRunner = Annotated[Caller, Depends(allowed("syncs:run"))]
SyncsWriter = Annotated[Caller, Depends(allowed("syncs:write"))]
ConfigurationWriter = Annotated[Caller, Depends(allowed("configuration:write"))]
ConnectionsReader = Annotated[Caller, Depends(allowed("connections:read"))]
ConnectionsWriter = Annotated[Caller, Depends(allowed("connections:write"))]
CustomersEraser = Annotated[Caller, Depends(allowed("customers:erase"))]
MappingsReader = Annotated[Caller, Depends(allowed("mappings:read"))]
MappingsWriter = Annotated[Caller, Depends(allowed("mappings:write"))]
WebhooksReader = Annotated[Caller, Depends(allowed("webhooks:read"))]
WebhooksWriter = Annotated[Caller, Depends(allowed("webhooks:write"))]
LogsReader = Annotated[Caller, Depends(allowed("logs:read"))]
