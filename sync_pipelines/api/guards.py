"""What holds for every call, whatever its route: its size, and the headers of its answer."""

import uuid
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipelines.api.problems import answer, problem

LARGEST_BODY: Final = 1_000_000
"""Bytes."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_refusal: Final = answer(problem(413, f"The body is larger than {LARGEST_BODY:,} bytes: send less at once."))


class TooLarge(Exception):
    """More came than the call may bring."""


class Guards:
    """Refuses bodies that are too large, whether they say so or not, and numbers every call."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number, read = uuid.uuid4().hex, 0

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Pages say themselves what they allow, be it a frame.
                own = "Content-Security-Policy" in headers
                for name, value in _HEADERS.items():
                    if not own or name != "X-Frame-Options":
                        headers.setdefault(name, value)
                headers["X-Request-ID"] = number
            await send(message)

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                raise TooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            # What an application makes of a body that it could not read is not the answer.
            if read <= LARGEST_BODY:
                await finished(message)

        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            read = int(announced)
        else:
            with suppress(TooLarge):
                await self._app(scope, counted, unless_too_large)
        if read > LARGEST_BODY:
            await _refusal(scope, receive, finished)
