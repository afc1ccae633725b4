"""The same session over a real socket: broken lines, and what the HTTP library itself logs."""

import gc
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from sync_pipelines.http_client import VendorSession
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.errors import NetworkError
from sync_pipelines.model.flow import Get
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import StoredTokens


class Line(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/cut":
            self.reply(200, b'{"a": 1', length=100)
            self.close_connection = True
        elif self.headers["authorization"] == "Bearer first-token":
            self.reply(401, b"{}")
        else:
            self.reply(200, b'{"a": 1}')

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.reply(200, b'{"access_token": "second-token"}')

    def reply(self, status, body, length=None):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def session():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Line)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    connection = Connection(id=-1, customer_id="c", provider="hubspot", login_url=url, api_url=url)
    client = OAuthClient(client_id="app", client_secret=Secret("app-secret"))
    with VendorSession(
        PROVIDERS["hubspot"], connection, StoredTokens(), client, attempts=2, sleep=lambda seconds: None
    ) as session:
        yield session
    server.shutdown()
    server.server_close()
    thread.join()


def call(path):
    return (yield Get(path)).json()


def test_a_body_shorter_than_promised_is_a_network_error(session):
    with pytest.raises(NetworkError):
        session.ask(call("/cut"))
    assert session.calls == 2


def test_no_secret_is_in_the_debug_log_of_any_library(session, caplog):
    caplog.set_level(logging.DEBUG)
    assert session.ask(call("/thing")) == {"a": 1}
    said = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "httpx" in said
    for secret in ("first-token", "second-token", "refresh-secret", "app-secret"):
        assert secret not in said


def answers_in_memory():
    return {id(each) for each in gc.get_objects() if isinstance(each, httpx.Response)}


def test_an_answer_does_not_wait_for_garbage_collection(session):
    gc.collect()
    before = answers_in_memory()
    gc.disable()
    try:
        for _ in range(3):
            session.ask(call("/thing"))
        assert answers_in_memory() <= before
    finally:
        gc.enable()
