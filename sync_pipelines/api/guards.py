"""What holds for every call, whatever its route: its size, and the headers of its answer."""

import logging
import re
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipelines.api.problems import answer, problem
from sync_pipelines.logs import bound

log = logging.getLogger(__name__)
_A_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
LARGEST_BODY: Final = 1_000_000
"""Bytes."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_failure: Final = answer(problem(500, "The API failed; its log says why, under the X-Request-ID of this answer."))
_refusal: Final = answer(problem(413, f"The body is larger than {LARGEST_BODY:,} bytes: send less at once."))


def _told(scope: Scope) -> str:
    """The call for the log. The path alone, as it came: what is asked may name people, and a decoded one break the
    line."""
    path = scope.get("raw_path", b"").partition(b"?")[0].decode("ascii", "backslashreplace")
    # What stands behind the provider there is an address that nobody else may know.
    path = re.sub(r"^(/webhooks/[^/]*/).+", r"\1***", path)
    return f"{scope['method']} {path}"


def request_id(given: str) -> str:
    """The number that the caller gave its call, where it can be written anywhere, else one of ours."""
    return given if _A_NUMBER.fullmatch(given) else uuid.uuid4().hex


class TooLarge(Exception):
    """More came than the call may bring."""


class Guards:
    """Refuses bodies that are too large, whether they say so or not, numbers every call, and
    answers for what fails unexpectedly."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope)
        number, read, begun = request_id(announced.get("x-request-id", "")), 0, False

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

        length = announced.get("content-length", "0")
        with bound(request_id=number):
            if length.isdigit() and int(length) > LARGEST_BODY:
                read = int(length)
            else:
                try:
                    await self._app(scope, counted, unless_too_large)
                except TooLarge:
                    pass  # answered below
                except Exception:
                    log.exception("%s failed", _told(scope))
                    if begun:
                        raise
                    await _failure(scope, receive, finished)
            if read > LARGEST_BODY:
                await _refusal(scope, receive, finished)
