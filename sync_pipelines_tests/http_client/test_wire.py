"""The transport below httpx, against servers that behave well and badly."""

import gzip
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync_pipelines.http_client.wire import Wire, wire


class Server:
    """Plays one list of answers for each connection, an answer for each request; then it closes."""

    def __init__(self, *connections, certificate=None):
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self.requests = []
        self.closed = threading.Semaphore(0)
        self.opened = 0
        self._connections = list(connections)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for answers in self._connections:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.opened += 1
            if self._tls is not None:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except OSError:
                    connection.close()
                    continue
            with connection:
                for answer in answers:
                    self.requests.append(_request_of(connection))
                    if answer is not None:
                        connection.sendall(answer)
            self.closed.release()

    def close(self):
        self._socket.close()


def _request_of(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def ok(body=b"{}", *headers):
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


@contextmanager
def talking_to(*connections, served_with=None, trusting=None, **options):
    server = Server(*connections, certificate=served_with)
    tls = ssl.create_default_context(cafile=trusting)
    try:
        with httpx.Client(transport=Wire(lambda: tls), **{"timeout": 10} | options) as client:
            yield server, client
    finally:
        server.close()


def test_requests_go_over_one_connection_while_it_stands():
    with talking_to([ok(b"1"), ok(b"2")]) as (server, client):
        assert [client.get(server.url).content for _ in range(2)] == [b"1", b"2"]
        assert server.opened == 1


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew():
    with talking_to([ok(b"1")], [ok(b"2")]) as (server, client):
        assert client.get(server.url).content == b"1"
        assert server.closed.acquire(timeout=10)
        assert client.get(server.url).content == b"2"


def test_a_body_and_headers_arrive_as_they_were_sent():
    with talking_to([ok()]) as (server, client):
        client.post(server.url + "/path?a=b", json={"x": "é"}, headers={"authorization": "Bearer t"})
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /path?a=b HTTP/1.1\r\n")
        assert b"authorization: bearer t" in head.lower()
        assert head.lower().count(b"host:") == 1
        assert body == '{"x":"é"}'.encode()


def test_the_target_extension_is_what_is_asked_for():
    with talking_to([ok()]) as (server, client):
        client.get(server.url + "/path", extensions={"target": b"/other?x=%20,y"})
        assert server.requests[0].startswith(b"GET /other?x=%20,y HTTP/1.1\r\n")


def test_a_compressed_body_is_unpacked():
    with talking_to([ok(gzip.compress(b'{"a": 1}'), b"Content-Encoding: gzip")]) as (server, client):
        answer = client.get(server.url)
        assert answer.json() == {"a": 1}
        assert b"gzip" in server.requests[0]


def test_a_chunked_body_is_put_together():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with talking_to([chunked, ok(b"next")]) as (server, client):
        assert client.get(server.url).content == b"abcde"
        assert client.get(server.url).content == b"next"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", httpx.RemoteProtocolError),
        (b"", httpx.ReadError),
        (b"SSH-2.0-OpenSSH\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", httpx.RemoteProtocolError),
    ],
)
def test_an_answer_that_is_no_whole_answer_is_an_error_and_the_next_request_gets_its_own(answer, error):
    with talking_to([answer], [ok(b"fine")]) as (server, client):
        with pytest.raises(error):
            client.get(server.url)
        assert client.get(server.url).content == b"fine"


def test_a_server_that_does_not_answer_is_a_timeout():
    with talking_to([None, None], timeout=0.2) as (server, client), pytest.raises(httpx.ReadTimeout):
        client.get(server.url)


def test_a_server_that_is_not_there_is_a_connect_error():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with talking_to() as (_, client), pytest.raises(httpx.ConnectError):
        client.get(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(file of a certificate for 127.0.0.1 that it signed itself, file of its key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


def test_a_server_with_a_trusted_certificate_is_spoken_to(certificate):
    with talking_to([ok(b"safe"), ok(b"again")], served_with=certificate, trusting=certificate[0]) as (server, client):
        assert [client.get(server.url).content for _ in range(2)] == [b"safe", b"again"]
        assert server.opened == 1


def test_a_server_without_a_trusted_certificate_is_a_connect_error(certificate):
    with talking_to([ok()], served_with=certificate) as (server, client):
        with pytest.raises(httpx.ConnectError, match="certificate"):
            client.get(server.url)
        assert server.requests == []


@pytest.mark.parametrize("header", ["a\r\nb: c", "a\nb"])
def test_a_header_that_would_become_two_is_refused(header):
    with talking_to([ok()]) as (server, client), pytest.raises(httpx.LocalProtocolError):
        client.get(server.url, headers={"x": header})


def test_proxies_of_the_environment_are_left_to_httpx(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert isinstance(wire(ssl.create_default_context), Wire)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert wire(ssl.create_default_context) is None
