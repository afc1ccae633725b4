"""What holds for every call, whatever its route: its size, and the headers of its answer."""

import uuid
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
        number, begun, read = uuid.uuid4().hex, False, 0

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
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

        refusal = answer(problem(413, f"The body is larger than {LARGEST_BODY:,} bytes: send less at once."))
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            await refusal(scope, receive, guarded)
            return
        try:
            await self._app(scope, counted, guarded)
        except TooLarge:
            if begun:
                raise
            await refusal(scope, receive, guarded)
