"""What holds for every call, whatever its route: how many at once, size and time of its body, headers of its answer."""

import asyncio
import logging
import re
import uuid
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipelines.api.problems import answer, problem
from sync_pipelines.api.waiting import Patience
from sync_pipelines.logs import bound

log = logging.getLogger(__name__)
_SECRET_PATH: Final = re.compile(r"^(.*/connect/open/|/webhooks/[^/]*/).", re.DOTALL | re.IGNORECASE)
"""Behind it stands a link's token, or the address of an account."""
_A_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
MOST_AT_ONCE: Final = 200
"""Calls that a process works on; more are told to come back."""
ALIVE: Final = "/healthz"
"""Answered however much there is to do."""
LARGEST_BODY: Final = 1_000_000
"""Bytes."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_FAILURE: Final = answer(problem(500, "The API failed; its log says why, under the X-Request-ID of this answer."))
_BUSY: Final = answer(
    problem(503, "There is too much to do at the moment: come back in a moment."),
    {"Connection": "close", "Retry-After": "1"},
)
_TOO_LARGE: Final = answer(problem(413, f"The body is larger than {LARGEST_BODY:,} bytes: send less at once."))
_TOO_SLOW: Final = answer(problem(408, "The body did not come in time: send it again."), {"Connection": "close"})


def _told(scope: Scope) -> str:
    """The call for the log. The path alone, as it came: what is asked may name people, and a decoded one break the
    line. Without what nobody else may know, however the path spells it: routes go by the decoded one."""
    if secret := _SECRET_PATH.search(re.sub("/+", "/", scope["path"])):
        return f"{scope['method']} {quote(secret[1])}***"
    path = scope.get("raw_path", b"").partition(b"?")[0].decode("ascii", "backslashreplace")
    return f"{scope['method']} {path}"


def request_id(given: str) -> str:
    """The number that the caller gave its call, where it can be written anywhere, else one of ours."""
    return given if _A_NUMBER.fullmatch(given) else uuid.uuid4().hex


class NotRead(Exception):
    """The body is not read to its end."""


class Guards:
    """Refuses calls that are too many, and bodies that are too large, whether they say so or not, or too slow; numbers
    every call, and answers for what fails unexpectedly."""

    def __init__(self, app: ASGIApp, patience: Patience) -> None:
        self._app = app
        self._patience = patience
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._at_once += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._at_once -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = Headers(scope=scope)
        number, begun = request_id(announced.get("x-request-id", "")), False
        body = _Body(receive, self._patience.body)

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                nonlocal begun
                begun = True
                log.info("%s -> %d", _told(scope), message["status"])
                headers = MutableHeaders(scope=message)
                # Pages say themselves what they allow, be it a frame.
                own = "Content-Security-Policy" in headers
                for name, value in _HEADERS.items():
                    if not own or name != "X-Frame-Options":
                        headers.setdefault(name, value)
                headers["X-Request-ID"] = number
            await send(message)

        async def unless_refused(message: Message) -> None:
            # What an application makes of a body that it could not read is not the answer.
            if body.refusal is None:
                await finished(message)

        length = announced.get("content-length", "0")
        with bound(request_id=number):
            if self._at_once > MOST_AT_ONCE and scope["path"] != ALIVE:
                body.refusal = _BUSY
            elif length.isdigit() and int(length) > LARGEST_BODY:
                body.refusal = _TOO_LARGE
            else:
                try:
                    await self._app(scope, body.receive, unless_refused)
                except NotRead:
                    pass  # answered below
                except Exception:
                    # One of what becomes of a body that is not read to its end is no failure: it is answered below.
                    if body.refusal is None:
                        log.exception("%s failed", _told(scope))
                        if begun:
                            raise
                        await _FAILURE(scope, receive, finished)
            if body.refusal is not None:
                await body.refusal(scope, receive, finished)


class _Body:
    """A request's body as it comes in. `refusal`: the answer, where it is not taken."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._left, self._until = LARGEST_BODY, asyncio.get_running_loop().time() + seconds
        self._whole = False
        self.refusal: Response | None = None

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.refusal = _TOO_SLOW
            raise NotRead from None
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            self.refusal = _TOO_LARGE
            raise NotRead
        return message
