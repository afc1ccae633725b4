"""deploy/proxy/nginx.conf before a real API: who gets in, what is bounded, and what it tells of the caller."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sync_pipelines.api.serving import serve
from sync_pipelines.orchestration.processes import free_port

CONF = Path(__file__).parents[2] / "deploy" / "proxy" / "nginx.conf"
API, DAGSTER = "api.example.com", "dagster.example.com"
LOGIN = ("ann", "a password of a test")
SECONDS = 30


class Pages(BaseHTTPRequestHandler):
    """In the place of Dagster's: tells what reached it."""

    def do_GET(self):
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def pages():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api_port(place):
    place.options |= {
        "api_trusted_proxies": "127.0.0.1",
        "api_stranger_burst": 3,
        "api_strangers_per_second": 0.01,
    }
    place.write_sync()
    with serve(place.project) as url:
        yield int(url.rpartition(":")[2])


def write_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, API)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(API), x509.DNSName(DAGSTER)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(made.public_bytes(form))
    plain = serialization.NoEncryption()
    (folder / "privkey.pem").write_bytes(key.private_bytes(form, serialization.PrivateFormat.PKCS8, plain))


def login_line():
    """As `openssl passwd` makes it; every nginx understands it."""
    name, password = LOGIN
    command = ["openssl", "passwd", "-apr1", "-stdin"]
    made = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return f"{name}:{made.stdout.strip()}\n"


class Proxy:
    """`get` and `post` speak TLS with one of the two names; the certificate is checked."""

    def __init__(self, port, plain_port, folder):
        self.port, self.plain_port, self.folder = port, plain_port, folder
        self.trust = ssl.create_default_context(cafile=folder / "fullchain.pem")
        self._client = httpx.Client(verify=self.trust, trust_env=False, timeout=60)

    def ask(self, method, name, path, *, headers=(), **more):
        return self._client.request(
            method,
            f"https://127.0.0.1:{self.port}{path}",
            headers={"Host": name, **dict(headers)},
            extensions={"sni_hostname": name},
            **more,
        )

    def get(self, name, path, **more):
        return self.ask("GET", name, path, **more)

    def post(self, name, path, **more):
        return self.ask("POST", name, path, **more)

    def close(self):
        self._client.close()


def program():
    found = shutil.which("nginx") or (path if Path(path := "/usr/sbin/nginx").exists() else None)
    if found is None or shutil.which("openssl") is None:
        message = (
            "NO NGINX FOUND: the example of a proxy was not tested. Install one (Debian: apt-get install nginx-light)."
        )
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return found


@pytest.fixture
def proxy(api_port, pages, tmp_path):
    nginx = program()
    write_certificate(tmp_path)
    (tmp_path / "users").write_text(login_line())
    port, plain_port = free_port(), free_port()
    changed = {
        "listen 80 ": f"listen 127.0.0.1:{plain_port} ",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8700": f"127.0.0.1:{api_port}",
        "127.0.0.1:3000": f"127.0.0.1:{pages}",
        "/etc/nginx/tls": str(tmp_path),
        "/etc/nginx/dagster.users": str(tmp_path / "users"),
        "/var/log/nginx/access.log": str(tmp_path / "access.log"),
        "client_header_timeout 10s": "client_header_timeout 1s",
    }
    text = CONF.read_text(encoding="utf-8")
    for written, here in changed.items():
        assert written in text, written
        text = text.replace(written, here)
    # As root it would take another user for its workers, who cannot read this folder.
    outside = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;"
    temporary = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(text.replace("http {", "http {\n" + temporary, 1))
    user = "user root;" if Path("/proc/self").owner() == "root" else ""
    command = [nginx, "-p", str(tmp_path), "-c", str(file), "-g", f"{user} {outside}"]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    running = subprocess.Popen(command)
    made = Proxy(port, plain_port, tmp_path)
    try:
        wait_for_port(port, running)
        yield made
    finally:
        made.close()
        running.terminate()
        running.wait(SECONDS)


def wait_for_port(port, process):
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, "nginx ended"
        assert time.monotonic() < deadline
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def test_the_example_of_a_proxy_does_what_it_says(proxy, place):
    _, token = place.project.store.tokens.create("backend", ["syncs:read", "syncs:run"])
    allowed = {"Authorization": f"Bearer {token.reveal()}"}

    # The API is reached, by its own login, and only what is meant to be reached.
    answer = proxy.get(API, "/api/v1/syncs", headers=allowed)
    assert [each["id"] for each in answer.json()["items"]] == ["crm"]
    assert answer.headers["strict-transport-security"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert proxy.get(API, "/healthz").json() == {"status": "ok"}
    for path in ("/readyz", "/", "/metrics", "/api/v10/syncs", "/graphql"):
        assert proxy.get(API, path, headers=allowed).status_code == 404, path

    # Dagster's pages ask for a login, and what reaches them tells who called, whatever the caller says of itself.
    assert proxy.get(DAGSTER, "/runs").status_code == 401
    assert proxy.get(DAGSTER, "/runs", auth=("ann", "wrong")).status_code == 401
    lies = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "http", "Forwarded": "for=192.0.2.9"}
    seen = proxy.get(DAGSTER, "/runs", auth=LOGIN, headers=lies).json()
    assert (seen["X-Forwarded-For"], seen["X-Forwarded-Proto"], seen["Host"]) == ("127.0.0.1", "https", DAGSTER)
    assert not {"Authorization", "Forwarded", "X-Forwarded-Host"} & seen.keys()
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        asked = proxy.post(DAGSTER, "/graphql", auth=LOGIN, headers={"Sec-Fetch-Site": site}, json={})
        assert asked.status_code == status
    socketed = {"Sec-Fetch-Site": "cross-site", "Upgrade": "websocket", "Connection": "Upgrade"}
    assert proxy.get(DAGSTER, "/graphql", auth=LOGIN, headers=socketed).status_code == 403

    # The API believes the proxy: a stranger cannot pass for many by what it claims.
    found = [
        proxy.get(API, "/api/v1/syncs", headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code
        for number in range(5)
    ]
    assert found == [401, 401, 401, 429, 429]

    # Paths that hold a secret are in no log; others are.
    hidden = ("/connect/open/a-secret-link", "//connect/%6fpen/a-secret-link", "/webhooks/My-Crm.2/a-secret-address")
    for path in (*hidden, "/webhooks/salesforce/a-secret-address", "/connect/other"):
        proxy.get(API, path)
    logged = (proxy.folder / "access.log").read_text()
    assert ("/connect/other" in logged, "a-secret" in logged) == (True, False)

    # A body that is too large ends here, headers that never end are not waited for, and TLS is asked for.
    too_large = proxy.post(API, "/api/v1/syncs/crm/trigger", headers=allowed, content=b"x" * 1_100_000)
    assert (too_large.status_code, "nginx" in too_large.text) == (413, True)
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS) as plain,
        proxy.trust.wrap_socket(plain, server_hostname=API) as slow,
    ):
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: api.example.com\r\n")
        assert b"200" not in b"".join(iter(lambda: slow.recv(1_000), b""))
    moved = httpx.get(f"http://127.0.0.1:{proxy.plain_port}/runs", headers={"Host": DAGSTER}, trust_env=False)
    assert (moved.status_code, moved.headers["location"]) == (301, f"https://{DAGSTER}/runs")
