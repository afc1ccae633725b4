"""Customers and their connections."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sync_pipelines import connecting
from sync_pipelines.api.access import Caller, ConnectionsReader, ConnectionsWriter, TheProject, seen
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import ConnectionShape, CustomerShape
from sync_pipelines.api.words import Address, CustomerId, Key, Text, Token
from sync_pipelines.connecting import account_of
from sync_pipelines.importing import Import, connect_with_tokens
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project

router = APIRouter(tags=["connections"])
TheCustomer = Annotated[CustomerId, Path(description="The customer's id, as your product has it")]
TheProvider = Annotated[Text, Path(description="The provider's name in the configuration")]


class NewConnection(BaseModel):
    """Tokens of an account, one of them or both. No answer, log or audit ever holds them."""

    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerId = Field(examples=["acme"])
    provider: Text = Field(examples=["salesforce"])
    access_token: Token | None = None
    refresh_token: Token | None = Field(None, description="Of your app as the provider's file names it")
    environment: Literal["production", "sandbox"] | None = Field(
        None, description="Which kind of organisation; left out: as it is connected, else production"
    )
    login_url: Address | None = Field(
        None,
        description="The organisation's own login page, where the vendor has such",
        examples=["https://acme.my.salesforce.com"],
    )
    api_url: Address | None = Field(
        None,
        description="Where the account lives (Salesforce's instance_url); needed for an access_token alone, where the "
        "vendor has no host for all",
        examples=["https://acme.my.salesforce.com"],
    )

    @model_validator(mode="after")
    def _some(self) -> "NewConnection":
        if self.access_token is None and self.refresh_token is None:
            raise ValueError("send access_token or refresh_token, or both")
        return self

    def as_import(self) -> Import:
        access, refresh = (
            Secret(each.get_secret_value()) if each else None for each in (self.access_token, self.refresh_token)
        )
        return Import(
            customer_id=self.customer_id,
            provider=self.provider,
            tokens=Tokens(access_token=access or Secret(""), refresh_token=refresh, api_url=self.api_url),
            environment=self.environment,
            login_url=self.login_url,
        )


class Tested(BaseModel):
    """The vendor answered: the account that the connection leads to."""

    account_id: str
    account_name: str


class Disconnected(BaseModel):
    """The connection is forgotten. `message`: what became of the access at the vendor."""

    message: str = Field(examples=["Salesforce has ended the access."])


@router.get("/customers", responses=answers())
def list_customers(
    project: TheProject, caller: ConnectionsReader, limit: Limit = 50, cursor: Cursor = None
) -> Listed[CustomerShape]:
    """Who is connected to anything, by id."""
    key = position(cursor, str)
    after = None if key is None else str(key[0])
    if caller.customer_id is not None:
        found = [caller.customer_id] if after is None and _connections(project, caller.customer_id) else []
    else:
        found = list(project.store.connections.customers(after=after, limit=limit + 1))
    shown, following = page(found, limit, lambda each: (each,))
    of_them: dict[str, list[ConnectionShape]] = {each: [] for each in shown}
    for connection in project.store.connections.list(customers=shown):
        of_them[connection.customer_id].append(ConnectionShape.of(connection))
    items = [CustomerShape(id=id, connections=connections) for id, connections in of_them.items()]
    return Listed(items=items, next_cursor=following)


@router.get("/customers/{customer_id}", responses=answers(404))
def get_customer(customer_id: TheCustomer, project: TheProject, caller: ConnectionsReader) -> CustomerShape:
    """A customer with its connections."""
    seen(caller, customer_id)
    found = _connections(project, customer_id)
    if not found:
        raise not_found(f"There is no customer {customer_id}.")
    return CustomerShape(id=customer_id, connections=[ConnectionShape.of(each) for each in found])


@router.get("/connections", responses=answers(404))
def list_connections(
    project: TheProject,
    caller: ConnectionsReader,
    customer_id: Annotated[CustomerId | None, Query()] = None,
    provider: Annotated[Text | None, Query()] = None,
    status: Annotated[str | None, Query(pattern="^(connected|expired|error)$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[ConnectionShape]:
    """Connections by provider and customer."""
    if customer_id is not None:
        seen(caller, customer_id)
    key = position(cursor, str, str)
    found = project.store.connections.page(
        provider=provider,
        customer_id=caller.customer_id or customer_id,
        status=status,
        after=None if key is None else (str(key[0]), str(key[1])),
        limit=limit + 1,
    )
    shown, following = page(found, limit, lambda each: (each.provider, each.customer_id))
    return Listed(items=[ConnectionShape.of(each) for each in shown], next_cursor=following)


@router.post("/connections", status_code=201, responses=answers(404, 409, 502))
def import_connection(
    wanted: NewConnection,
    project: TheProject,
    caller: ConnectionsWriter,
    response: Response,
    idempotency_key: Annotated[Key | None, Header(description="Repeating a call with it connects nothing anew")] = None,
) -> ConnectionShape:
    """Connect, or reconnect, a customer with tokens that you have. They are stored once the vendor has taken them.

    The refresh token is ours from then on: do not use it elsewhere. Syncs of the customer are due at once.
    """
    seen(caller, wanted.customer_id)
    if wanted.provider not in project.providers:
        known = ", ".join(sorted(project.providers)) or "none"
        raise not_found(f"There is no provider {wanted.provider}. Known are: {known}.")
    key = None if idempotency_key is None else f"{caller.token.id}:{idempotency_key}"
    made, first = connect_with_tokens(project, wanted.as_import(), actor=caller.actor, key=key)
    if not first:
        response.headers["Idempotent-Replayed"] = "true"
    place = "/".join(quote(each, safe="") for each in (made.customer_id, made.provider))
    response.headers["Location"] = f"/api/v1/connections/{place}"
    return ConnectionShape.of(made)


@router.get("/connections/{customer_id}/{provider}", responses=answers(404))
def get_connection(
    customer_id: TheCustomer, provider: TheProvider, project: TheProject, caller: ConnectionsReader
) -> ConnectionShape:
    """One connection."""
    return ConnectionShape.of(connection_of(project, caller, customer_id, provider))


@router.post("/connections/{customer_id}/{provider}/test", responses=answers(404, 409, 502))
def test_connection(
    customer_id: TheCustomer, provider: TheProvider, project: TheProject, caller: ConnectionsWriter
) -> Tested:
    """Ask the vendor who the account is: one call, with the stored credentials."""
    connection = connection_of(project, caller, customer_id, provider)
    account = account_of(project, connection)
    return Tested(account_id=account.id, account_name=account.name)


@router.delete("/connections/{customer_id}/{provider}", responses=answers(404))
def disconnect(
    customer_id: TheCustomer, provider: TheProvider, project: TheProject, caller: ConnectionsWriter
) -> Disconnected:
    """End the access at the vendor, and forget the connection and its credentials whatever the vendor answers.

    Its rows, runs and mappings stay.
    """
    connection = connection_of(project, caller, customer_id, provider)
    return Disconnected(message=connecting.disconnect(project, connection, actor=caller.actor))


def connection_of(project: Project, caller: Caller, customer_id: str, provider: str) -> Connection:
    """The connection; 404 where there is none that the caller may see."""
    seen(caller, customer_id)
    found = project.store.connections.find(customer_id, provider)
    if found is None or provider not in project.providers:
        raise not_found(f"The customer {customer_id} is not connected to {provider}.")
    return found


def _connections(project: Project, customer_id: str) -> list[Connection]:
    return project.store.connections.list(customer_id=customer_id)
