"""Sessions that are kept between the objects of a connection, over a real line."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sync_pipelines.http_client import VendorSession, keeping
from sync_pipelines.http_client.keeping import kept_sessions
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.flow import Get, Notice
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import StoredTokens


class Line(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.ports.append(self.client_address[1])
        status, body = (404, b"{}") if "missing" in self.path else (200, b'{"a": 1}')
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Nothing of it belongs into the test's output."""


@pytest.fixture
def vendor():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Line)
    server.daemon_threads, server.ports = True, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class CountedTokens(StoredTokens):
    def __init__(self):
        super().__init__()
        self.reads = 0

    def read(self):
        self.reads += 1
        return super().read()


@pytest.fixture
def tokens():
    return {1: CountedTokens(), 2: CountedTokens()}


@pytest.fixture
def sessions(vendor, tokens):
    def open_session(connection):
        return VendorSession(PROVIDERS["hubspot"], connection, tokens[connection.id], OAuthClient(), attempts=1)

    with kept_sessions(open_session) as sessions:
        yield sessions


@pytest.fixture
def connection(vendor):
    def make(number=1):
        url = f"http://127.0.0.1:{vendor.server_port}"
        return Connection(id=number, customer_id=f"customer-{number}", provider="hubspot", api_url=url, login_url=url)

    return make


def asks(path="/crm/v3/anything"):
    yield Notice(message="asked")
    return (yield Get(path)).json()


def one_object(sessions, connection, path="/crm/v3/anything"):
    session = sessions.lend(connection)
    try:
        session.ask(asks(path))
        return session.calls, [notice.message for notice in session.notices]
    finally:
        sessions.take_back(session)


def test_objects_of_a_connection_share_line_and_tokens_and_count_apart(sessions, connection, vendor, tokens):
    # Each time another Connection that says the same, as a project makes one for each session.
    assert [one_object(sessions, connection()) for _ in range(3)] == [(1, ["asked"])] * 3
    assert len(set(vendor.ports)) == 1
    assert tokens[1].reads == 1


def test_connections_share_nothing(sessions, connection, vendor, tokens):
    one_object(sessions, connection(1))
    one_object(sessions, connection(2))
    assert len(set(vendor.ports)) == 2
    assert (tokens[1].reads, tokens[2].reads) == (1, 1)


def test_objects_side_by_side_have_a_session_each(sessions, connection):
    one, other = sessions.lend(connection()), sessions.lend(connection())
    assert one is not other
    sessions.take_back(one)
    sessions.take_back(other)


def test_a_session_that_met_with_an_error_is_not_used_again(sessions, connection, tokens):
    with pytest.raises(SyncError):
        one_object(sessions, connection(), "/crm/v3/missing")
    one_object(sessions, connection())
    assert tokens[1].reads == 2


def test_tokens_are_read_again_after_a_while(sessions, connection, tokens, monkeypatch):
    monkeypatch.setattr(keeping, "KEPT_SECONDS", 0.0)
    one_object(sessions, connection())
    one_object(sessions, connection())
    assert tokens[1].reads == 2


def test_no_more_are_kept_than_allowed(sessions, connection, tokens, monkeypatch):
    monkeypatch.setattr(keeping, "KEPT_SESSIONS", 1)
    for number in (1, 2, 1, 2):
        one_object(sessions, connection(number))
    assert (tokens[1].reads, tokens[2].reads) == (2, 2)
