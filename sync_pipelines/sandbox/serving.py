"""Starts and stops the server: in this process for tests, as a process of its own for the demo."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from sync_pipelines.sandbox.control import Control
from sync_pipelines.sandbox.server import Line, application
from sync_pipelines.sandbox.world import Recipe, World

START_SECONDS = 120
STOP_SECONDS = 10
READY = "sandbox ready: "


def server_for(world: World, port: int = 0, host: str = "127.0.0.1") -> tuple[uvicorn.Server, socket.socket]:
    """A server and the line it will listen on; port 0 lets the system choose."""
    config = uvicorn.Config(
        application(world),
        http=Line,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )
    # The event loop sends small answers at once (TCP_NODELAY) only for a socket that names its protocol; others wait
    # for the client's delayed acknowledgement, 40 ms a call.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(512)
    return uvicorn.Server(config), listening


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


@contextmanager
def serve(recipe: Recipe | None = None, *, folder: Path | None = None, port: int = 0) -> Iterator[Control]:
    """The sandbox in a thread of this process, for the time of the block. `folder` None keeps the records in memory."""
    world = World(folder, recipe)
    server, listening = server_for(world, port)
    thread = threading.Thread(target=server.run, args=([listening],), name="sandbox", daemon=True)
    thread.start()
    control = Control(address(listening))
    try:
        control.wait_ready(START_SECONDS)
        yield control
    finally:
        control.close()
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listening.close()
        world.close()


@contextmanager
def serve_process(
    folder: Path,
    *,
    seed: int = 1,
    scale: float = 1.0,
    customers: int = 6,
    port: int = 0,
    epoch: str | None = None,
) -> Iterator[Control]:
    """The sandbox as a process of its own, for the time of the block."""
    command = [sys.executable, "-m", "sync_pipelines.sandbox", "--folder", str(folder), "--port", str(port)]
    command += [
        "--seed",
        str(seed),
        "--scale",
        str(scale),
        "--customers",
        str(customers),
        *(("--epoch", epoch) if epoch else ()),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        control = Control(_address_from(process))
        try:
            yield control
        finally:
            control.close()
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address_from(process: "subprocess.Popen[str]") -> str:
    """Wait for the line that says where it listens. RuntimeError when the process ends before."""
    if process.stdout is None:
        raise RuntimeError("the sandbox was started without a pipe to read its address from")
    for line in process.stdout:
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    raise RuntimeError(f"the sandbox ended with {process.wait()} before it was ready: see its messages above")
