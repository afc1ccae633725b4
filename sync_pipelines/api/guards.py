"""What holds for every call, whatever its route: size and time of its body, and the headers of its answer."""

import asyncio
import uuid
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipelines.api.problems import answer, problem
from sync_pipelines.api.waiting import Patience

LARGEST_BODY: Final = 1_000_000
"""Bytes."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_TOO_LARGE: Final = answer(problem(413, f"The body is larger than {LARGEST_BODY:,} bytes: send less at once."))
_TOO_SLOW: Final = answer(problem(408, "The body did not come in time: send it again."), {"Connection": "close"})


class NotRead(Exception):
    """The body is not read to its end."""


class Guards:
    """Refuses bodies that are too large, whether they say so or not, or too slow, and numbers every call."""

    def __init__(self, app: ASGIApp, patience: Patience) -> None:
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number, body = uuid.uuid4().hex, _Body(receive, self._patience.body)

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = number
            await send(message)

        async def unless_refused(message: Message) -> None:
            # What an application makes of a body that it could not read is not the answer.
            if body.refusal is None:
                await finished(message)

        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            body.refusal = _TOO_LARGE
        else:
            with suppress(NotRead):
                await self._app(scope, body.receive, unless_refused)
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
