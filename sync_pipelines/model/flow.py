"""The vocabulary of a conversation with a vendor.

A flow is a generator: it yields what it wants done and receives the answer, as httpx's own `auth_flow` does. It never
sends, sleeps, retries, counts or logs; the driver in `http_client` does all that. So a flow is tested by feeding it
written responses, and the same flow runs in production.

    yields Request  -> receives Response (only 2xx and the request's own `accept` statuses; everything else is raised
                       at the yield as the error that the provider's `classify` made of it)
    yields Pause    -> receives None after that many seconds
    yields Page     -> receives None; the engine stores the page and its `resume`
    yields Notice   -> receives None; the run shows it (a vanished field, a skipped part)
    returns         -> the flow's value, for flows that answer a question (describe, identify)
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from sync_pipelines.model.errors import SyncError, VendorError

Shape = TypeVar("Shape")

Params: TypeAlias = Mapping[str, str | Sequence[str]]
PageToken: TypeAlias = Mapping[str, Any]
"""Where to go on: a small JSON object that only the flow which made it understands. Saved in checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. `path` is joined to the connection's base URL unless it is absolute; a list param is repeated.

    `family` names the rate limit it counts against ("api", "search", "bulk"). `accept` lists non-2xx statuses that the
    flow wants to see itself. `form` sends application/x-www-form-urlencoded. `authorized=False` leaves the token away.
    """

    method: str
    path: str
    params: Params = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    family: str = "api"
    accept: frozenset[int] = frozenset()
    authorized: bool = True
    host: str = "api"
    """Which base URL: "api" (the connection's own) or "login" (the vendor's authorization server)."""


def Get(path: str, **rest: Any) -> Request:
    return Request(method="GET", path=path, **rest)


def Post(path: str, json: Any = None, **rest: Any) -> Request:
    return Request(method="POST", path=path, json=json, **rest)


@dataclass(frozen=True)
class Response:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as Python values; VendorError (a retry) when it is not JSON."""
        return self.decode(object)

    def decode(self, shape: type[Shape]) -> Shape:
        """The body as a msgspec type; VendorError (a retry) when it is not JSON or not of that shape."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            mended = _mended(self.body)
            if mended != self.body:
                return Response(self.status, self.headers, mended).decode(shape)
            raise VendorError(
                "The vendor answered with something that is not the JSON we expect; it will be tried again.",
                detail=f"status {self.status}: {problem}; body begins {self.body[:200]!r}",
            ) from problem

    def problem(self) -> Any:
        """The body of an error answer as Python values, None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _mended(body: bytes) -> bytes:
    """One lone surrogate or raw NUL would cost the whole page: both become what a strict reader takes.

    The escaped NUL stays behind as the mark by which the record's own cleaning notices that characters were replaced.
    """
    escaped = _ESCAPE.sub(lambda found: b"\\ufffd\\u0000" if found.group(1) else found.group(), body)
    return escaped.replace(b"\x00", b"\\u0000")


@dataclass(frozen=True)
class Pause:
    """Come back after `seconds` (a job that is still running)."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Page:
    """Records as the vendor shaped them: one JSON text each, plus where to go on once they are stored.

    `resume` None means that nothing can be resumed from here. `total` is the vendor's own count where it tells one.
    `groups`: what the records were told by, in the order of the records, and how many each of these told; whatever it
    told before is replaced, be it by nothing. Then `total` counts groups.
    """

    records: Sequence[bytes]
    resume: PageToken | None = None
    total: int | None = None
    groups: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know although the sync goes on."""

    message: str
    error_type: str = "field_validation"
    field: str | None = None


Step: TypeAlias = Request | Pause | Page | Notice
Flow: TypeAlias = Generator[Step, Any, Any]


def with_pages(flow: Flow, change: Callable[[Page], Page]) -> Flow:
    """The same conversation, with its pages changed."""
    go_on: Callable[[], Step] = partial(next, flow)
    while True:
        try:
            step = go_on()
        except StopIteration as end:
            return end.value
        try:
            answer = yield change(step) if isinstance(step, Page) else step
        except SyncError as problem:
            go_on = partial(flow.throw, problem)
        else:
            go_on = partial(flow.send, answer)
