"""Who may call what: every route with no token, a wrong one, an old one, one without the scope, and another's."""

import re
import socket
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.routing import APIRoute

from sync_pipelines.api.app import create_app
from sync_pipelines.api.guards import LARGEST_BODY
from sync_pipelines.api.waiting import Patience
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.store.tokens import SCOPES
from sync_pipelines_tests.api.conftest import PATH
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

SCOPE_OF = {
    ("GET", "/syncs"): "syncs:read",
    ("GET", "/syncs/{id}"): "syncs:read",
    ("POST", "/syncs"): "syncs:write",
    ("PUT", "/syncs/{id}"): "syncs:write",
    ("DELETE", "/syncs/{id}"): "syncs:write",
    ("GET", "/syncs/{id}/versions"): "syncs:read",
    ("POST", "/syncs/{id}/rollback"): "syncs:write",
    ("POST", "/syncs/{id}/trigger"): "syncs:run",
    ("POST", "/syncs/{id}/pause"): "syncs:run",
    ("POST", "/syncs/{id}/resume"): "syncs:run",
    ("POST", "/syncs/{id}/cancel"): "syncs:run",
    ("POST", "/syncs/{id}/archive"): "syncs:write",
    ("POST", "/syncs/{id}/restore"): "syncs:write",
    ("GET", "/syncs/{id}/runs"): "syncs:read",
    ("GET", "/syncs/{id}/runs/{run_id}"): "syncs:read",
    ("GET", "/syncs/{id}/connections"): "syncs:read",
    ("GET", "/customers"): "connections:read",
    ("GET", "/customers/{customer_id}"): "connections:read",
    ("DELETE", "/customers/{customer_id}"): "customers:erase",
    ("GET", "/erasures"): "logs:read",
    ("POST", "/connect-sessions"): "connections:write",
    ("GET", "/connections"): "connections:read",
    ("POST", "/connections"): "connections:write",
    ("GET", "/connections/{customer_id}/{provider}"): "connections:read",
    ("POST", "/connections/{customer_id}/{provider}/test"): "connections:write",
    ("DELETE", "/connections/{customer_id}/{provider}"): "connections:write",
    ("GET", "/connections/{customer_id}/{provider}/objects/{object}/fields"): "mappings:read",
    ("GET", "/connections/{customer_id}/{provider}/objects/{object}/mapping"): "mappings:read",
    ("GET", "/connections/{customer_id}/{provider}/objects/{object}/mapping/versions"): "mappings:read",
    ("GET", "/connections/{customer_id}/{provider}/objects/{object}/mapping/suggestions"): "mappings:read",
    ("PUT", "/connections/{customer_id}/{provider}/objects/{object}/mapping"): "mappings:write",
    ("POST", "/connections/{customer_id}/{provider}/objects/{object}/mapping/rollback"): "mappings:write",
    ("GET", "/connections/{customer_id}/{provider}/objects/{object}/failed"): "mappings:read",
    ("POST", "/connections/{customer_id}/{provider}/objects/{object}/preview"): "mappings:read",
    ("GET", "/custom-schemas"): "mappings:read",
    ("GET", "/custom-schemas/{id}/{object}"): "mappings:read",
    ("GET", "/custom-schemas/{id}/{object}/customers"): "mappings:read",
    ("GET", "/providers"): "syncs:read",
    ("POST", "/providers"): "configuration:write",
    ("GET", "/providers/{name}"): "syncs:read",
    ("PUT", "/providers/{name}"): "configuration:write",
    ("DELETE", "/providers/{name}"): "configuration:write",
    ("GET", "/destinations"): "syncs:read",
    ("POST", "/destinations"): "configuration:write",
    ("GET", "/destinations/{name}"): "syncs:read",
    ("PUT", "/destinations/{name}"): "configuration:write",
    ("DELETE", "/destinations/{name}"): "configuration:write",
    ("GET", "/requests"): "syncs:read",
    ("GET", "/requests/{id}"): "syncs:read",
    ("GET", "/health"): "syncs:read",
    ("GET", "/health/events"): "syncs:read",
    ("GET", "/webhooks"): "webhooks:read",
    ("POST", "/webhooks"): "webhooks:write",
    ("GET", "/webhooks/{id}"): "webhooks:read",
    ("PATCH", "/webhooks/{id}"): "webhooks:write",
    ("DELETE", "/webhooks/{id}"): "webhooks:write",
    ("POST", "/webhooks/{id}/rotate"): "webhooks:write",
    ("POST", "/webhooks/{id}/test"): "webhooks:write",
    ("GET", "/webhooks/{id}/deliveries"): "webhooks:read",
    ("POST", "/webhooks/{id}/deliveries/{delivery_id}/replay"): "webhooks:write",
    ("POST", "/webhooks/{id}/replay"): "webhooks:write",
    ("POST", "/hooks"): "webhooks:write",
    ("DELETE", "/hooks/{id}"): "webhooks:write",
    ("GET", "/hooks/samples"): "webhooks:read",
    ("GET", "/logs"): "logs:read",
    ("GET", "/logs/audit"): "logs:read",
    ("GET", "/syncs/{id}/explain"): "logs:read",
}
FOR_ALL_ONLY = {
    ("POST", "/syncs"),
    ("PUT", "/syncs/{id}"),
    ("DELETE", "/syncs/{id}"),
    ("GET", "/syncs/{id}/versions"),
    ("POST", "/syncs/{id}/rollback"),
    ("POST", "/syncs/{id}/archive"),
    ("POST", "/syncs/{id}/restore"),
    ("POST", "/providers"),
    ("GET", "/providers/{name}"),
    ("PUT", "/providers/{name}"),
    ("DELETE", "/providers/{name}"),
    ("GET", "/destinations"),
    ("POST", "/destinations"),
    ("GET", "/destinations/{name}"),
    ("PUT", "/destinations/{name}"),
    ("DELETE", "/destinations/{name}"),
    ("GET", "/health"),
    ("GET", "/health/events"),
    ("GET", "/logs/audit"),
    ("GET", "/erasures"),
}


UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NO_ENDPOINT = "00000000-0000-4000-8000-000000000000"
BODIES = {
    "/webhooks": {"url": "https://hooks.invalid/in", "events": ["sync.error"]},
    "/hooks": {"target_url": "https://hooks.invalid/in", "event": "sync.error"},
    "/webhooks/{id}": {},
    "/webhooks/{id}/replay": {"since": "2026-03-02T12:00:00Z"},
}


MAPPING = "/connections/{customer_id}/{provider}/objects/{object}/mapping"


def call(client, method, path, customer=ACME, run_id=1, endpoint=NO_ENDPOINT, query=None):
    values = {"id": "crm", "run_id": run_id, "customer_id": customer, "provider": "salesforce", "object": "contact"}
    values["name"] = "salesforce" if path.startswith("/providers") else "warehouse"
    if path.startswith("/requests/"):
        values["id"] = run_id
    more = {"json": {"fields": {}}} if method == "PUT" else {}
    if path.startswith(("/webhooks", "/hooks")):
        values |= {"id": endpoint, "delivery_id": run_id}
        more = {"json": BODIES[path]} if path in BODIES and method in ("POST", "PATCH") else {}
    if path == "/hooks/samples":
        more["params"] = {"event": "sync.error"}
    if path.endswith("/explain"):
        more["params"] = {"object": "contact", "record": "1", "customer_id": customer}
    return client.request(method, path.format(**values), **{**more, "params": more.get("params", {}) | (query or {})})


def refused(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return answer.json()["detail"]


def test_the_table_has_every_route(api):
    routes = create_app(api.place.project).openapi()["paths"]
    served = {(method.upper(), path.removeprefix(PATH)) for path, methods in routes.items() for method in methods}
    assert served == SCOPE_OF.keys()
    assert set(SCOPE_OF.values()) == SCOPES.keys()
    for methods in routes.values():
        for described in methods.values():
            assert {"401", "403", "413", "422", "429", "503"} <= described["responses"].keys()
            assert ("408" in described["responses"]) is ("requestBody" in described)


def test_without_a_token_that_works_nothing_is_answered(api):
    _, revoked = api.token()
    (listed,) = api.place.project.store.tokens.list()
    api.place.project.store.tokens.revoke(listed.id)
    _, expired = api.token(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    callers = {
        "No token": None,
        "is not known": "sp_" + "a" * 43,
        "is not known: make": "nonsense",
        "was revoked": revoked.reveal(),
        "has expired": expired.reveal(),
    }
    for reason, token in callers.items():
        with api.client(token) as client:
            for method, path in SCOPE_OF:
                answer = call(client, method, path)
                assert reason in refused(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_route_keeps_the_pace_and_says_when_the_store_is_away(place, served):
    place.options |= {"api_burst": 1, "api_calls_per_second": 0.001}
    place.write_sync()
    api = served()
    with api.as_() as client:
        refused(client.get("/requests/1"), 404)
        for method, path in SCOPE_OF:
            assert "Too many calls with this token" in refused(call(client, method, path), 429)
        with place.store.connect() as connection:
            connection.execute("ALTER TABLE api_tokens RENAME TO moved_away")
        for method, path in SCOPE_OF:
            refused(call(client, method, path), 503)


def test_every_route_refuses_a_body_that_is_too_large_or_does_not_come(place, served):
    place.write_sync()
    api = served(patience=Patience(head=60, body=0.5))
    host, port = api.url.removeprefix("http://").split(":")
    _, token = api.token()
    reading = create_app(place.project).openapi()["paths"]

    def begun(opened, method, path, length):
        route = PATH + re.sub(r"\{\w+\}", "1", path)
        each = opened.enter_context(socket.create_connection((host, int(port)), timeout=60))
        each.sendall(
            f"{method} {route} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token.reveal()}\r\nContent-Length: {length}\r\n\r\n{{".encode()
        )
        return each

    with ExitStack() as opened:
        slow = {
            (method, path): begun(opened, method, path, 100)
            for method, path in SCOPE_OF
            if "requestBody" in reading[PATH + path][method.lower()]
        }
        large = {(method, path): begun(opened, method, path, LARGEST_BODY + 1) for method, path in SCOPE_OF}
        assert len(slow) > 10
        for status, calls in ((408, slow), (413, large)):
            for route, each in calls.items():
                answer = b"".join(iter(lambda each=each: each.recv(10_000), b""))
                assert answer.startswith(b"HTTP/1.1 %d " % status), (route, answer)
                assert b"application/problem+json" in answer
    assert place.project.store.requests.page() == []


def test_a_token_without_the_scope_is_told_which_it_needs(api):
    for (method, path), scope in SCOPE_OF.items():
        with api.as_(*(name for name in SCOPES if name != scope)) as client:
            assert f"needs the scope {scope}" in refused(call(client, method, path), 403)


def test_no_call_takes_a_name_in_the_query_that_it_does_not_know(api):
    """A filter that were ignored would show everything, and `dry-run` for `dry_run` would save."""
    with api.as_() as client:
        for method, path in SCOPE_OF:
            answer = call(client, method, path, query={"dry-run": "true", "limit[]": "1"})
            assert "query.dry-run: There is no such parameter" in refused(answer, 422)
            assert [each["at"] for each in answer.json()["parts"]] == ["query.dry-run", "query.limit[]"]
        assert "Known are: dry_run, check." in call(client, "PUT", MAPPING, query={"dry-run": "true"}).json()["detail"]
        assert client.get("/syncs", params={"limit": 1}).status_code == 422
        assert client.get("/syncs", params={"object": "contact"}).status_code == 200
    assert api.place.project.store.mappings.current(ACME, "salesforce", "contact") is None


def test_a_token_for_one_customer_cannot_tell_another_from_none(api):
    """Everything of another customer is answered exactly as that of one that there is not."""
    project = api.place.project
    of_acme = project.store.runs.page(sync="crm", customer_id=ACME)[0].id
    asked = project.store.due.ask("crm", [ACME]).id
    of_others = [endpoint_of(project, customer) for customer in (ACME, None) * 8]
    with api.as_(customer_id=BRIGHTWATER) as client:
        for method, path in SCOPE_OF:
            if path.startswith(("/webhooks/{id}", "/hooks/{id}")):
                there = refused(call(client, method, path, endpoint=of_others.pop()), 404)
                assert re.sub(UUID, "N", there) == refused(call(client, method, path), 404).replace(NO_ENDPOINT, "N")
                continue
            named = ("{customer_id}" in path, "{run_id}" in path, path == "/requests/{id}", path.endswith("/explain"))
            if not any(named):
                continue
            number = asked if path.startswith("/requests") else of_acme
            there = call(client, method, path, customer=ACME, run_id=number)
            nowhere = call(client, method, path, customer="nobody-here", run_id=999_999_999)
            assert refused(there, 404).replace(ACME, "X").replace(str(number), "N") == refused(nowhere, 404).replace(
                "nobody-here", "X"
            ).replace("999999999", "N")
    assert project.store.connections.find(ACME, "salesforce") is not None
    assert len(project.store.endpoints.page()) == 16


def endpoint_of(project, customer):
    """Of a kind that both ways in could see."""
    made, _ = project.store.endpoints.create(
        "https://hooks.invalid/in", ["sync.error"], kind="zapier", customer_id=customer, description=f"for {customer}"
    )
    return str(made.id)


def test_a_token_for_one_customer_sees_nothing_of_others_in_any_list(api):
    project = api.place.project
    project.store.due.request("crm", [ACME])
    project.store.due.request("crm", [BRIGHTWATER])
    project.store.due.request("crm")
    endpoint_of(project, ACME)
    mine = endpoint_of(project, BRIGHTWATER)
    project.store.runs.record([replace(run, status="error") for run in project.store.runs.list(customer_id=ACME)])
    with api.as_(customer_id=BRIGHTWATER) as client:
        for method, path in SCOPE_OF:
            if method != "GET" or "{run_id}" in path or path == "/requests/{id}":
                continue
            answer = call(client, method, path, customer=BRIGHTWATER, endpoint=mine)
            if (method, path) in FOR_ALL_ONLY:
                refused(answer, 403)
            else:
                assert answer.status_code == 200, answer.text
                assert ACME not in answer.text
        sync = client.get("/syncs/crm").json()
        assert (sync["connections"], sync["paused"], sync["in_error"]) == (1, 0, 0)
        assert [each["customers"] for each in client.get("/requests").json()["items"]] == [[BRIGHTWATER]]
        for path in ("/syncs/crm/runs", "/syncs/crm/connections", "/connections", "/webhooks"):
            assert refused(client.get(path, params={"customer_id": ACME}), 404)
        assert [each["id"] for each in client.get("/webhooks").json()["items"]] == [mine]
        for path in ("/webhooks", "/hooks"):
            assert refused(client.post(path, json=BODIES[path] | {"customer_id": ACME}), 403)
            assert client.post(path, json=BODIES[path]).json()["customer_id"] == BRIGHTWATER


def test_a_token_for_one_customer_steers_that_one_alone(api):
    lifecycle = api.place.project.store.lifecycle
    with api.as_(customer_id=BRIGHTWATER) as client:
        for verb in ("trigger", "pause", "resume", "cancel"):
            refused(client.post(f"/syncs/crm/{verb}", json={"customers": [ACME]}), 403)
            refused(client.post(f"/syncs/crm/{verb}", json={"customers": [ACME, BRIGHTWATER]}), 403)
        assert client.post("/syncs/crm/trigger").json()["customers"] == [BRIGHTWATER]
        assert client.post("/syncs/crm/pause").json() == {"customers": [BRIGHTWATER]}
        assert (lifecycle.state("crm").state, lifecycle.state("crm").paused) == ("created", 1)
        for method, path in FOR_ALL_ONLY:
            body = {"json": {}} if path in ("/syncs", "/providers", "/destinations") or method == "PUT" else {}
            body |= {"json": {"version": 1}} if path.endswith("/rollback") else {}
            refused(client.request(method, path.format(id="crm", name="warehouse"), **body), 403)
    assert api.place.project.store.due.list("crm", ACME)[0].paused_at is None


def test_a_sync_that_does_not_cover_the_customer_is_not_there(place, served):
    place.write_sync(customers=[ACME])
    place.connect(ACME, BRIGHTWATER)
    api = served()
    with api.as_(customer_id=BRIGHTWATER) as client:
        assert client.get("/syncs").json()["items"] == []
        assert "Known are: none" in refused(client.get("/syncs/crm"), 404)


def test_tokens_are_never_stored_nor_audited(api):
    _, secret = api.token("syncs:read")
    with api.place.store.connect() as connection:
        for table in ("api_tokens", "audit"):
            rows = connection.execute(f"SELECT CAST({table} AS text) FROM {table}").fetchall()
            assert secret.reveal() not in str(rows)


def test_a_token_that_makes_no_sense_is_not_made(api):
    for arguments, message in (
        ({"name": "x", "scopes": ["syncs:delete"]}, "There is no scope syncs:delete"),
        ({"name": "x", "scopes": []}, "without a scope"),
        ({"name": "", "scopes": ["syncs:read"]}, "1 to 100 printable"),
        ({"name": "x", "scopes": ["syncs:read"], "customer_id": "a/b"}, "cannot be a customer's id"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            api.place.project.store.tokens.create(**arguments)


def test_routes_are_functions_that_wait_in_threads(api):
    """One that were a coroutine would hold up every other call while it asks the store."""
    import inspect

    app = create_app(api.place.project)
    assert not [
        each for each in app.routes if isinstance(each, APIRoute) and inspect.iscoroutinefunction(each.endpoint)
    ]
