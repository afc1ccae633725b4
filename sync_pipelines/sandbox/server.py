"""The server: both vendors and the control calls behind one address."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sync_pipelines.sandbox import control_calls, salesforce_errors
from sync_pipelines.sandbox.changes import apply_due
from sync_pipelines.sandbox.clock import http_date
from sync_pipelines.sandbox.exchange import Answer, Call, Refused, Route, Vendor, as_json
from sync_pipelines.sandbox.faults import Fault
from sync_pipelines.sandbox.hubspot import HubSpot
from sync_pipelines.sandbox.routing import RoutingTable
from sync_pipelines.sandbox.salesforce import Salesforce
from sync_pipelines.sandbox.world import World

log = logging.getLogger(__name__)

LONGEST_TARGET = 16_384
"""Longer request targets are answered with 414, as the vendors' edges do."""
TRANSPORT = "sandbox.transport"
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
_TOO_LONG = b"<html><head><title>414 Request-URI Too Large</title></head><body>414 Request-URI Too Large</body></html>"
_HTML = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Maintenance</h1></body></html>"


class Line(HttpToolsProtocol):
    """Lets a fault reach the line itself, to reset it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


def application(world: World) -> ASGIApp:
    """The ASGI application over a world."""
    vendors: tuple[Vendor, ...] = (Salesforce(), HubSpot())
    table: RoutingTable[Endpoint] = RoutingTable(
        [
            *(
                (route.method, route.path, _endpoint(world, vendor, route))
                for vendor in vendors
                for route in vendor.routes
            ),
            *((method, path, _control(world, answer)) for method, path, answer in control_calls.ROUTES),
        ]
    )
    return _Edge(world, table)


class _Edge:
    """What happens before and after any route: the length limit, the vendor's clock in the Date header."""

    def __init__(self, world: World, table: "RoutingTable[Endpoint]") -> None:
        self._world = world
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Any) -> None:
            if message["type"] == "http.response.start":
                moment = http_date(self._world.clock.now()).encode()
                message["headers"] = [*message.get("headers", ()), (b"date", moment)]
            await send(message)

        found = self._table.find(scope["method"], scope["path"])
        if len(scope["raw_path"]) + len(scope["query_string"]) + 1 > LONGEST_TARGET:
            response = self._refused(scope, 414, Response(_TOO_LONG, 414, media_type="text/html"))
        elif found is None:
            response = self._refused(scope, 404, _no_such_path(scope["path"]))
        else:
            endpoint, scope["path_params"] = found
            response = await endpoint(Request(scope, receive))
        await response(scope, receive, dated)

    def _refused(self, scope: Scope, status: int, response: Response) -> Response:
        self._world.calls.add(None, scope["method"], scope["path"][:200], [], status, self._world.clock.now())
        return response


def _no_such_path(path: str) -> Response:
    """In the words of the vendor that the path begins with."""
    if path.startswith("/salesforce/"):
        return _response(salesforce_errors.usual(404))
    return _response(as_json({"status": "error", "message": f"no such path: {path[:200]}"}, 404))


def _endpoint(world: World, vendor: Vendor, route: Route) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        call = await _read(world, request)
        apply_due(world)
        fault: Fault | None = None
        try:
            _identify(vendor, route, call)
            fault = _fault(call)
            answer = await _faulty(vendor, fault, call, request) if fault else None
            if answer is None:
                _let_in(vendor, route, call)
                answer = route.answer(call)
        except Refused as refusal:
            answer = refusal.answer
        except Exception:
            log.exception("the sandbox itself failed at %s %s", call.method, call.path)
            answer = as_json({"status": "error", "message": "the sandbox itself failed: see its log"}, 500)
        vendor.finish(call, answer)
        if fault is not None:
            answer = _damaged(fault, answer)
        account = None if call.account is None else call.account.customer.id
        world.calls.add(account, call.method, call.path, call.params, answer.status, world.clock.now())
        return _response(answer)

    return endpoint


def _identify(vendor: Vendor, route: Route, call: Call) -> None:
    """Find the account even where its token is refused, so that faults see whose call it is."""
    try:
        vendor.identify(call, open=route.open)
    except Refused as refusal:
        call.refusal = refusal


def _let_in(vendor: Vendor, route: Route, call: Call) -> None:
    if call.refusal is not None:
        raise call.refusal
    if not route.open:
        vendor.admit(call)


def _fault(call: Call) -> Fault | None:
    account = None if call.account is None else call.account.customer.id
    return call.world.faults.take_for_request(account, call.line)


async def _faulty(vendor: Vendor, fault: Fault, call: Call, request: Request) -> Answer | None:
    """The answer that a request fault gives instead of the real one; None when the real one comes all the same."""
    if fault.name == "slow":
        await asyncio.sleep(float(fault.options.get("seconds", 1)))
        return None
    if fault.name == "reset":
        _reset(request)
        return Answer(500, content_type=None)
    if fault.name == "html":
        return Answer(int(fault.options.get("status", 200)), _HTML, content_type="text/html; charset=utf-8")
    if fault.name in ("cut_json", "truncated"):
        return None
    answer = vendor.error_for(fault, call)
    if fault.options.get("empty"):
        answer.body = b""
    return answer


def _damaged(fault: Fault, answer: Answer) -> Answer:
    if fault.name not in ("cut_json", "truncated"):
        return answer
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    kept = body[: int(fault.options.get("bytes", len(body) // 2))]
    promised = len(body) if fault.name == "truncated" else None
    return Answer(answer.status, kept, answer.headers, answer.content_type, promised)


def _reset(request: Request) -> None:
    transport = request.scope["extensions"][TRANSPORT]["transport"]
    line: socket.socket = transport.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _read(world: World, request: Request) -> Call:
    return Call(
        world=world,
        method=request.method,
        path=request.scope["path"],
        query=request.scope["query_string"].decode("ascii", "replace"),
        params=request.query_params.multi_items(),
        parts=request.path_params,
        headers=request.headers,
        body=await request.body(),
        site=f"{request.url.scheme}://{request.url.netloc}",
    )


def _response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.content_type is not None:
        headers["Content-Type"] = answer.content_type
    if isinstance(answer.body, bytes) and answer.promised is None:
        return Response(answer.body, answer.status, headers)
    if answer.promised is not None:
        headers["Content-Length"] = str(answer.promised)
    chunks = iter((answer.body,)) if isinstance(answer.body, bytes) else answer.body
    return StreamingResponse(_each(chunks), answer.status, headers)


async def _each(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


def _control(world: World, answer: control_calls.Control) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        text = await request.body()
        apply_due(world)
        return _response(control_calls.answered(world, answer, request.path_params, dict(request.query_params), text))

    return endpoint
