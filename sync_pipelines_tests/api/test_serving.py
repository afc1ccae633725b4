"""What holds for every call, and what a hostile caller meets."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from sync_pipelines.api.guards import LARGEST_BODY
from sync_pipelines.api.serving import serve
from sync_pipelines.api.waiting import MOST_CONNECTIONS, Patience
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.store.tokens import SCOPES
from sync_pipelines_tests.api.conftest import PATH
from sync_pipelines_tests.api.test_access import refused


def test_every_answer_carries_the_headers_of_safety(everything, api):
    for answer in (everything.get("/syncs"), everything.get("/nothing"), httpx.get(f"{api.url}/healthz")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 32
        assert "server" not in answer.headers


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(everything):
    body = b'{"reason": "' + b"x" * LARGEST_BODY + b'"}'
    kind = {"content-type": "application/json"}
    refused(everything.post("/syncs/crm/pause", content=body, headers=kind), 413)
    refused(
        everything.post(
            "/syncs/crm/pause", content=(body[at : at + 65_536] for at in range(0, len(body), 65_536)), headers=kind
        ),
        413,
    )
    assert everything.get("/syncs/crm").json()["state"] == "created"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"reason": "\xff"}'])
def test_a_body_that_cannot_be_read_is_told_as_such(everything, body):
    answer = everything.post("/syncs/crm/pause", content=body, headers={"content-type": "application/json"})
    assert "not JSON in UTF-8, or is nested too deeply" in refused(answer, 422)


HOSTILE = (
    "/syncs/crm'; DROP TABLE runs; --",
    "/syncs/%00",
    "/syncs/..%2f..%2fetc%2fpasswd",
    "/connections/acme%27%20OR%20%271%27=%271/salesforce",
    "/connections/%ED%A0%80/salesforce",
    "/customers/" + "x" * 3_000,
    "/requests/99999999999999999999",
    "/syncs/crm/runs/-1",
    "/syncs/crm/runs?customer_id=%00",
    "/syncs/crm/runs?execution_id=%00",
    "/logs/audit?subject=%00",
    "/requests?sync=%00",
    "/connections?provider=%00",
)


def test_hostile_paths_and_filters_are_answered_as_wrong_requests(everything):
    for path in HOSTILE:
        answer = everything.get(path)
        assert answer.status_code in (404, 422), (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_one_token_that_calls_too_fast_has_to_wait_and_others_do_not(place, served):
    place.options |= {"api_burst": 3, "api_calls_per_second": 0.01}
    place.write_sync()
    api = served()
    with api.as_("syncs:read") as fast, api.as_("syncs:read") as other:
        assert [fast.get("/syncs").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert int(fast.get("/syncs").headers["retry-after"]) >= 1
        assert other.get("/syncs").status_code == 200


def test_strangers_are_slowed_down_by_address_and_no_token_that_works_is(place, served):
    place.options |= {"api_stranger_burst": 3, "api_strangers_per_second": 0.01, "api_trusted_proxies": "127.0.0.1"}
    place.write_sync()
    api = served()

    def stranger(address, token=None):
        with api.client(token) as client:
            return client.get("/syncs", headers={"X-Forwarded-For": address})

    wrong = "sp_" + "a" * 43
    assert [stranger("192.0.2.1", token).status_code for token in (None, wrong, None)] == [401] * 3
    assert int(stranger("192.0.2.1", wrong).headers["retry-after"]) >= 1
    assert stranger("192.0.2.1").status_code == 429
    assert stranger("192.0.2.2").status_code == 401
    assert [stranger(f"2001:db8::{number}").status_code for number in range(4)] == [401, 401, 401, 429]
    assert stranger("2001:db8:0:1::1").status_code == 401
    _, works = api.token("syncs:read")
    assert stranger("192.0.2.1", works.reveal()).status_code == 200


def test_addresses_that_a_caller_claims_are_believed_of_no_one_else(place, served):
    place.options |= {"api_stranger_burst": 1, "api_strangers_per_second": 0.01}
    place.write_sync()
    with served().client() as client:
        answers = [client.get("/syncs", headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in (1, 2)]
    assert [answer.status_code for answer in answers] == [401, 429]


def test_clients_that_never_finish_what_they_say_are_let_go_and_hold_up_nobody(place, served):
    """As many connections as the server takes, each with headers that never end: they are closed, others are served."""
    place.write_sync()
    api = served(patience=Patience(head=1, body=1))
    host, port = api.url.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port)), timeout=60) for _ in range(MOST_CONNECTIONS)]
    begun = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
    for each in slow:
        each.sendall(begun)
    assert [each.recv(1_000) for each in slow] == [b""] * len(slow)
    with api.as_("syncs:read") as client:
        assert client.get("/syncs").status_code == 200
    # A second request of a connection is given no more time than its first.
    with socket.create_connection((host, int(port)), timeout=60) as again:
        again.sendall(begun + b"\r\n")
        assert again.recv(10_000).startswith(b"HTTP/1.1 200")
        again.sendall(begun)
        while again.recv(10_000):
            pass
    for each in slow:
        each.close()


def test_who_only_holds_connections_keeps_nobody_out(place, served):
    """More than the server keeps, some of which have asked for something before: new ones are served all the same."""
    place.write_sync()
    api = served(patience=Patience(head=600))
    host, port = api.url.removeprefix("http://").split(":")
    opened = []
    with ExitStack() as held, api.as_("syncs:read") as client:
        for number in range(MOST_CONNECTIONS + 20):
            each = held.enter_context(socket.create_connection((host, int(port)), timeout=60))
            opened.append(each)
            if number % 10 == 0:
                each.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
                assert each.recv(1_000).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            assert httpx.get(f"{api.url}/healthz", timeout=60).status_code == 200
            assert client.get("/syncs").status_code == 200
        # Those that were idle for the longest time gave way.
        assert opened[1].recv(1) == b""
        opened[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert opened[-1].recv(1_000).startswith(b"HTTP/1.1 200")


def test_calls_beyond_what_a_process_works_on_are_told_to_come_back_and_it_still_says_that_it_lives(
    place, served, monkeypatch
):
    monkeypatch.setattr("sync_pipelines.api.guards.MOST_AT_ONCE", 3)
    place.write_sync()
    api = served(patience=Patience(body=600))
    host, port = api.url.removeprefix("http://").split(":")

    def until(status):
        deadline = time.monotonic() + 60
        while (answer := client.get("/syncs")).status_code != status and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer

    with ExitStack() as held, api.as_("syncs:read") as client:
        for _ in range(3):
            each = held.enter_context(socket.create_connection((host, int(port)), timeout=60))
            each.sendall(
                f"POST {PATH}/syncs/crm/trigger HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
                "Content-Length: 100\r\n\r\n{".encode()
            )
        busy = until(503)
        assert refused(busy, 503).startswith("There is too much to do")
        assert busy.headers["retry-after"] == "1"
        assert httpx.get(f"{api.url}/healthz", timeout=60).json() == {"status": "ok"}
        held.close()
        assert until(200).status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for(place, served):
    place.write_sync()
    api = served(patience=Patience(head=60, body=0.5))
    _, token = api.token()
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(
            f"POST {PATH}/syncs/crm/trigger HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token.reveal()}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        answer = b"".join(iter(lambda: slow.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert place.project.store.requests.page() == []


def test_a_store_that_is_away_is_told_as_such(api, everything, postgres_server):
    api.place.project.store._engine.dispose()
    with api.place.store.connect() as connection:
        connection.execute("ALTER TABLE api_tokens RENAME TO moved_away")
        connection.commit()
    try:
        assert "The store does not answer" in refused(everything.get("/syncs"), 503)
    finally:
        with api.place.store.connect() as connection:
            connection.execute("ALTER TABLE moved_away RENAME TO api_tokens")
            connection.commit()
    assert everything.get("/syncs").status_code == 200


def test_a_call_keeps_the_number_that_its_caller_gave_it_where_it_can_be_written(everything):
    given = {"checkout-7f3.retry:2": True, "a b": False, "x" * 101: False, "-x": False, "": False}
    for number, kept in given.items():
        answer = everything.get("/syncs", headers={"X-Request-ID": number})
        assert (answer.headers["x-request-id"] == number) is kept


def test_what_fails_unexpectedly_is_told_to_the_log_under_its_number_and_to_the_caller_not_at_all(
    api, everything, monkeypatch, caplog
):
    def broken():
        raise RuntimeError("something of the inside")

    monkeypatch.setattr(api.place.project.store.lifecycle, "list", broken)
    answer = everything.get("/syncs", headers={"X-Request-ID": "call-17"})
    assert "log says why" in refused(answer, 500)
    assert "inside" not in answer.text
    assert answer.headers["x-request-id"] == "call-17"
    assert answer.headers["x-content-type-options"] == "nosniff"
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage() == "GET /api/v1/syncs failed"
    assert "something of the inside" in caplog.text


def test_no_path_that_holds_a_secret_is_logged_however_it_is_spelled(api, caplog):
    secrets = (
        "/connect/open/S3CRET",
        "//connect//open/S3CRET",
        "/crm/connect/open/S3CRET",
        "/connect/%6Fpen/S3CRET",
        "/Connect/Open/S3CRET",
        "/webhooks/salesforce/S3CRET",
        "//webhooks/my-Salesforce%0A//S3CRET",
        "/webhooks%2Fsalesforce%2FS3CRET",
    )
    with caplog.at_level("INFO"), httpx.Client(timeout=60) as client:
        for path in (*secrets, "/api/v1/webhooks/one/deliveries"):
            for method in ("GET", "POST"):
                client.request(method, api.url + path)
    told = [each.getMessage() for each in caplog.records if each.name.startswith("sync_pipelines")]
    assert [text for text in told if "S3CRET" in text or "\n" in text] == []
    assert sum("*** -> " in text for text in told) == 2 * len(secrets)
    assert any("/api/v1/webhooks/one/deliveries" in text for text in told)


def test_alive_and_ready_need_no_token(api):
    assert httpx.get(f"{api.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{api.url}/readyz").json() == {"status": "ok"}


def test_the_description_has_examples_and_names_every_problem(api):
    document = httpx.get(f"{api.url}{PATH}/openapi.json", timeout=60).json()
    assert document["components"]["schemas"]["SyncShape"]["properties"]["id"]["examples"] == ["crm"]
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for scope, allows in SCOPES.items():
        assert f"- `{scope}`: {allows}" in document["components"]["securitySchemes"]["HTTPBearer"]["description"]
        assert f"| `{scope}` | {allows} |" in page
    for methods in document["paths"].values():
        for operation in methods.values():
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()
            assert operation["security"] == [{"HTTPBearer": []}]
            assert operation["summary"]
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"]


def test_a_port_that_is_taken_is_told(api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(ConfigurationError, match="Nothing can be served on"),
            serve(api.place.project, port=taken.getsockname()[1]),
        ):
            pass
