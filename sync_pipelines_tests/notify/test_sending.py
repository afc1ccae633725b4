"""What other people's servers do, and where nothing is sent."""

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.notify import addresses
from sync_pipelines.notify.addresses import Terms, check_url, is_public
from sync_pipelines.notify.schedule import DELAYS, hold, next_attempt
from sync_pipelines.notify.sending import READ_BYTES, asked_to_wait, send
from sync_pipelines_tests.notify.receiver import receiving

ANY = Terms(private=True, plain=True)
PUBLIC = Terms(plain=True)


def posted(receiver, path="/", terms=ANY, **rest):
    return send(receiver.url + path, {"webhook-id": "msg_1"}, b"{}", terms, **rest)


def test_an_answer_is_its_status_and_its_beginning(receiver):
    receiver.answer = lambda request: (418, {"Retry-After": "3"}, b"short and stout")
    answer = posted(receiver, "/tea?pot=1")
    assert (answer.status, answer.body, answer.error) == (418, b"short and stout", "")
    assert answer.retry_after.total_seconds() == 3
    (request,) = receiver.received
    assert (request.path, request.body, request.headers["webhook-id"]) == ("/tea?pot=1", b"{}", "msg_1")


def test_of_a_huge_answer_little_is_read(receiver):
    sent = []

    def endless():
        while len(sent) < 100_000:
            sent.append(1)
            yield b"x" * 65_536

    receiver.answer = lambda request: (200, {}, endless())
    answer = posted(receiver)
    assert (answer.status, answer.body) == (200, b"x" * READ_BYTES)
    assert len(sent) < 1_000


@pytest.mark.parametrize("part", ["body", "headers"])
def test_a_server_that_gives_a_byte_now_and_then_is_given_up_in_time(part):
    """Each byte comes soon enough for a timeout of each read; the whole does not."""
    done = threading.Event()

    def drip(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 100000\r\n\r\n" if part == "body" else b"X-Slow: ")
            try:
                connection.sendall(head)
                while not done.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass  # it was given up, as it should be

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=(listener,))
        server.start()
        answer = send(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"{}", ANY, seconds=0.5)
        done.set()
        server.join()
    assert (answer.status, answer.error) == (None, "no answer within 0.5 seconds")


def test_a_server_that_never_answers_hangs_up_or_talks_nonsense_is_an_error_and_no_exception(receiver):
    free = threading.Event()
    receiver.answer = lambda request: free.wait(30) and None
    assert "no answer within" in posted(receiver, seconds=0.3).error
    free.set()
    receiver.answer = lambda request: None
    assert "disconnected" in posted(receiver).error
    assert "Connect" in send("http://127.0.0.1:9/", {}, b"", ANY, seconds=5).error
    assert send("http://no-such-host.invalid/", {}, b"", ANY, seconds=5).error


def test_a_redirect_is_an_answer_and_nothing_more(receiver):
    receiver.answer = lambda request: (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b"")
    assert posted(receiver).status == 302
    assert len(receiver.received) == 1


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
    "0.0.0.0", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "fec0::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused_when_saved_and_when_sent_to(address):
    assert not is_public(ipaddress.ip_address(address))
    url = f"http://[{address}]/" if ":" in address else f"http://{address}/"
    with pytest.raises(ConfigurationError, match="not public"):
        check_url(url, PUBLIC)
    assert "not public" in send(url, {}, b"", PUBLIC).error
    assert str(check_url(url, ANY))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_fine(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("written", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_ways_to_write_an_address_gain_nothing(written, receiver):
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(ConfigurationError, match="not public"):
        check_url(f"http://{written}:{port}/", PUBLIC)
    assert "not public" in send(f"http://{written}:{port}/", {}, b"", PUBLIC).error
    assert receiver.received == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/", "must begin with https"),
        ("ftp://example.com/", "no URL that can be sent to"),
        ("file:///etc/passwd", "no URL that can be sent to"),
        ("https://", "no URL that can be sent to"),
        ("nonsense", "no URL that can be sent to"),
        ("https://user:word@example.com/", "neither a user"),
        ("https://example.com/#part", "neither a user nor a fragment"),
        ("https://example.com/" + "x" * 2_000, "longer than"),
        ("https://exa\x00mple.com/", "no URL"),
        ("https://exa mple.com/", "no name and no address"),
        ("https://ex*ample.com/", "no name and no address"),
        ("https://x..example/", "no name and no address"),
        ("https://" + "a" * 64 + ".example/", "no name and no address"),
        ("https://[fe80::1%25eth0]/", "no name and no address"),
        ("https://example.com:0/", "no port 0"),
        ("https://example.com:65536/", "no port 65536"),
        ("https://example.com:-1/", "no port -1"),
    ],
)
def test_what_is_no_url_to_send_to_is_refused(url, message):
    with pytest.raises(ConfigurationError, match=message):
        check_url(url, Terms())


def test_the_connection_goes_to_the_address_that_was_looked_at(receiver, monkeypatch):
    """A name that is public when it is looked at and private a moment later: nothing is asked a second time."""
    port = int(receiver.url.rpartition(":")[2])
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, *rest, **more):
        if host != "rebinding.example":
            return real(host, *rest, **more)
        asked.append(host)
        address = "203.0.113.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    def connect(self, host, port, *rest, **more):
        connected.append(host)
        raise addresses.RefusedAddress("not connected in this test")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) != "127.0.0.1")
    monkeypatch.setattr("httpcore.SyncBackend.connect_tcp", connect)
    send(f"http://rebinding.example:{port}/", {}, b"", PUBLIC)
    assert connected == ["203.0.113.7"]
    assert len(asked) == 1
    assert "not public" in send(f"http://rebinding.example:{port}/", {}, b"", PUBLIC).error
    assert connected == ["203.0.113.7"]


def test_a_name_at_one_private_address_among_public_ones_is_refused(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest, **more: found)
    with pytest.raises(ConfigurationError, match="not public"):
        check_url("https://both.example/", Terms())


def test_what_a_retry_after_may_say(post):
    for said, seconds in (("0", 0), ("120", 120), (" 7 ", 7), ("-5", None), ("soon", None), ("", None), (None, None)):
        found = asked_to_wait(said, post.now)
        assert (None if found is None else found.total_seconds()) == seconds
    assert asked_to_wait("9" * 400, post.now).days > 1_000
    assert asked_to_wait("Wed, 21 Oct 2015 07:28:00 GMT", post.now).total_seconds() == 0


@pytest.fixture
def certified(tmp_path):
    """(a context that serves as hooks.example, a context that trusts it)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(private + pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "both.pem")
    trusting = ssl.create_default_context(cadata=pem.decode())
    return serving, trusting


def test_over_tls_the_certificate_must_be_the_names_though_an_address_is_connected_to(certified, monkeypatch):
    serving, trusting = certified
    real = socket.getaddrinfo
    names = ("hooks.example", "other.example")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1" if host in names else host, *rest, **more)
    )
    with receiving(serving) as secure:
        port = secure.url.rpartition(":")[2]
        assert "CERTIFICATE_VERIFY_FAILED" in send(f"https://hooks.example:{port}/", {}, b"{}", ANY).error
        monkeypatch.setattr("sync_pipelines.notify.sending._tls", lambda: trusting)
        assert send(f"https://hooks.example:{port}/", {}, b"{}", ANY).status == 200
        assert "CERTIFICATE_VERIFY_FAILED" in send(f"https://other.example:{port}/", {}, b"{}", ANY).error
        assert len(secure.received) == 1


@given(
    attempts=st.integers(1, 20),
    chance=st.floats(0, 1),
    asked=st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_nothing_is_tried_before_its_time_nor_later_than_a_day_and_a_tenth(attempts, chance, asked):
    now = datetime(2026, 3, 2, tzinfo=UTC)
    moment = next_attempt(attempts, now, chance, asked)
    assert (moment is None) == (attempts >= len(DELAYS))
    if moment is not None:
        assert now + DELAYS[attempts] <= moment <= now + timedelta(days=1.1)
        assert asked is None or moment >= now + min(asked, timedelta(days=1))
    held = hold(attempts, now, asked)
    assert now + timedelta(seconds=5) <= held <= now + timedelta(days=1)
