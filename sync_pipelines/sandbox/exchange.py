"""One request as the vendors' answers see it, and what they give back; nothing here knows a web framework."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.faults import Fault
from sync_pipelines.sandbox.world import World

JSON = "application/json;charset=UTF-8"


@dataclass
class Call:
    """`site`: scheme and host that the client used.

    `account` is filled once we know whose call it is; `refusal`
    is what its token met.
    """

    world: World
    method: str
    path: str
    query: str
    params: list[tuple[str, str]]
    parts: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    site: str
    account: Account | None = None
    refusal: "Refused | None" = None

    @property
    def own(self) -> Account:
        """The account that calls; every route that is not open has one."""
        if self.account is None:
            raise LookupError("this route was reached without an account")
        return self.account

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}?{self.query}" if self.query else f"{self.method} {self.path}"

    def first(self, name: str, otherwise: str = "") -> str:
        return next((value for known, value in self.params if known == name), otherwise)

    def wants(self, name: str) -> bool:
        """A boolean parameter, however the client spells it: true or True."""
        return self.first(name).lower() == "true"

    def every(self, name: str) -> list[str]:
        return [value for known, value in self.params if known == name]

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def refresh_token(self) -> str:
        """The one that a call to the token endpoint is about: to be used, or to be revoked."""
        form = self.form()
        return form.get("refresh_token") or form.get("token", "")

    def json(self) -> Any:
        """The body as Python values. msgspec.DecodeError when it is none."""
        return msgspec.json.decode(self.body) if self.body else {}

    def fault(self, name: str, object: str | None = None) -> Fault | None:
        """A switched-on fault of this name for this call, counted as used."""
        account = None if self.account is None else self.account.customer.id
        return self.world.faults.take(name, account, self.line, object)


@dataclass
class Answer:
    """`promised`: a Content-Length that is not the body's own, to cut the line in the middle."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = JSON
    promised: int | None = None

    def told(self) -> Any:
        """The JSON that it holds."""
        return msgspec.json.decode(self.body if isinstance(self.body, bytes) else b"".join(self.body))


class Refused(Exception):
    """Ends a request with an error answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, msgspec.json.encode(value), dict(headers or {}))


Endpoint: TypeAlias = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """`open`: answered without an access token."""

    method: str
    path: str
    answer: Endpoint
    open: bool = False


class Vendor(Protocol):
    """What the server asks of a vendor's module."""

    @property
    def routes(self) -> Sequence[Route]:
        """What it answers."""
        ...

    def identify(self, call: Call, *, open: bool) -> None:
        """Find the account, and refuse a token that is missing, unknown or old (unless `open`)."""
        ...

    def admit(self, call: Call) -> None:
        """Count the call against the account's limits, and refuse it above them."""
        ...

    def error_for(self, fault: Fault, call: Call) -> Answer:
        """The vendor's usual words for a request fault."""
        ...

    def finish(self, call: Call, answer: Answer) -> None:
        """Add the headers that the vendor sends with every answer."""
        ...
