"""The API served over HTTP: in a thread of this process, until the block ends."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from sync_pipelines.api.app import create_app
from sync_pipelines.api.waiting import USUAL, Patience, protocol
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.project import Project

START_SECONDS = 30
STOP_SECONDS = 10


@contextmanager
def serve(project: Project, *, host: str = "127.0.0.1", port: int = 0, patience: Patience = USUAL) -> Iterator[str]:
    """The URL where it answers; port 0 takes a free one. ConfigurationError where nothing can be served there."""
    listening = _listening(host, port)
    app = create_app(project, patience)
    config = uvicorn.Config(
        app,
        http=protocol(patience),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(project.settings.api_trusted_proxies),
        forwarded_allow_ips=project.settings.api_trusted_proxies,
        lifespan="off",
        timeout_keep_alive=10,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=65_536,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="api", daemon=True)
    thread.start()
    try:
        _wait(server, thread)
        bound_host, bound_port = listening.getsockname()[:2]
        yield f"http://{bound_host}:{bound_port}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS + 5)
        listening.close()
        app.state.refusals.write()


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as problem:
        listening.close()
        raise ConfigurationError(f"Nothing can be served on {host}:{port}: {problem.strerror}.") from problem
    return listening


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the API's server did not start")
        time.sleep(0.02)
