"""Somebody's server that receives: it keeps every request, and answers as the test wants it."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict
    body: bytes

    def verified(self, secret):
        """The body, if the official library takes the signature."""
        return Webhook(secret.reveal()).verify(self.body, self.headers)


@dataclass
class Receiver:
    """`answer` gives (status, headers, body) for a request; it runs in the server's thread and may wait."""

    url: str = ""
    received: list = field(default_factory=list)
    answer: Callable = lambda request: (200, {}, b"ok")
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def add(self, request):
        with self.arrived:
            self.received.append(request)
            self.arrived.notify_all()

    def wait_for(self, count, path=None, seconds=60):
        """The requests (of a path), once there are so many."""

        def found():
            return [each for each in self.received if path in (None, each.path)]

        with self.arrived:
            assert self.arrived.wait_for(lambda: len(found()) >= count, seconds), f"{len(found())} of {count} arrived"
        return found()


@contextmanager
def receiving(tls=None):
    """A receiver; with `tls`, an SSL context, it speaks TLS."""
    receiver = Receiver()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Received(self.path, dict(self.headers.items()), body)
            receiver.add(request)
            answer = receiver.answer(request)
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(content, bytes):
                content = [content]
            self.end_headers()
            try:
                for part in content:
                    self.wfile.write(part)
                    self.wfile.flush()
            except OSError:
                self.close_connection = True  # nobody reads it to the end, which is what is tested

        def log_message(self, *arguments):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
