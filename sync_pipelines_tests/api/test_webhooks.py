"""Endpoints by the API: made, tried, changed, sent again, removed; and as Zapier wants them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_pipelines.notify.delivering import deliver_due
from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.notify.receiver import receiving


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def hooked(place, api):
    """The API where endpoints may be on this machine."""
    place.options["webhooks_to_private_addresses"] = True
    settings = place.settings()
    place.project.settings = settings
    return api


def verified(request, secret):
    from sync_pipelines.model.secret import Secret

    return request.verified(Secret(secret))


def test_the_life_of_an_endpoint(hooked, receiver):
    project = hooked.place.project
    with hooked.as_() as client:
        wanted = {"url": receiver.url + "/in?key=hush", "events": ["sync.error", "sync.completed"], "customer_id": ACME}
        answer = client.post("/webhooks", json=wanted)
        assert answer.status_code == 201
        made, path = answer.json(), answer.headers["location"].removeprefix("/api/v1")
        secret = made.pop("secret")
        assert (made["url"], made["events"]) == (receiver.url + "/in?***", ["sync.completed", "sync.error"])
        assert client.get(path).json() == made
        assert "hush" not in client.get("/webhooks").text + client.get("/logs/audit").text
        assert secret not in client.get("/webhooks").text + client.get("/logs/audit").text

        tried = client.post(f"{path}/test", json={"event": "sync.error"})
        assert (tried.status_code, tried.json()["status"]) == (202, "waiting")
        hooked.place.sync(ACME, BRIGHTWATER)
        assert deliver_due(project) == 2
        test, real = sorted(
            (verified(each, secret) for each in receiver.received), key=lambda each: "test" not in each["data"]
        )
        assert (test["type"], test["data"]["test"], test["data"]["customer_id"]) == ("sync.error", True, ACME)
        assert (real["type"], real["data"]["customer_id"], real["data"]["status"]) == (
            "sync.completed",
            ACME,
            "success",
        )

        log = client.get(f"{path}/deliveries", params={"status": "delivered", "limit": 1}).json()
        assert (log["items"][0]["event"], log["items"][0]["attempts"][0]["status"]) == ("sync.completed", 200)
        older = client.get(f"{path}/deliveries", params={"cursor": log["next_cursor"], "limit": 1}).json()
        assert (older["items"][0]["id"], older["next_cursor"]) == (tried.json()["id"], None)
        assert client.get(f"{path}/deliveries", params={"event": "mapping.changed"}).json()["items"] == []

        again = client.post(f"{path}/deliveries/{tried.json()['id']}/replay")
        assert (again.status_code, again.json()["message_id"]) == (202, tried.json()["message_id"])
        since = {"since": older["items"][0]["at"], "all": True}
        assert client.post(f"{path}/replay", json=since).json() == {"deliveries": 2}
        assert deliver_due(project) == 2

        rotated = client.post(f"{path}/rotate", json={"overlap_hours": 2}).json()
        client.post(f"{path}/test")
        deliver_due(project)
        assert verified(receiver.received[-1], secret) == verified(receiver.received[-1], rotated["secret"])

        changed = client.patch(path, json={"enabled": False, "events": ["mapping.changed"]}).json()
        assert (changed["enabled"], changed["disabled_reason"]) == (False, "by api:test")
        assert "is disabled: enable it" in refused(client.post(f"{path}/test"), 422)
        assert client.patch(path, json={"enabled": True}).json()["enabled"]
        assert client.delete(path).status_code == 204
        assert "There is no endpoint" in refused(client.get(path), 404)


def test_what_makes_no_sense_is_refused(hooked, place):
    with hooked.as_() as client:
        for body, message in (
            ({"url": "nonsense", "events": ["sync.error"]}, "no URL that can be sent to"),
            ({"url": "https://203.0.113.7/", "events": []}, "body.events"),
            ({"url": "https://203.0.113.7/", "events": ["sync.started"]}, "body.events.0"),
            ({"url": "https://203.0.113.7/", "events": ["sync.error"], "kind": "zapier"}, "body.kind"),
            (
                {"url": "https://203.0.113.7/", "events": ["sync.error"], "customer_id": "a/b"},
                "cannot be a customer's id",
            ),
        ):
            assert message in refused(client.post("/webhooks", json=body), 422)
        made = client.post("/webhooks", json={"url": "https://203.0.113.7/", "events": ["sync.error"]}).json()
        assert "no delivery 1" in refused(client.post(f"/webhooks/{made['id']}/deliveries/1/replay"), 404)
        assert refused(client.delete(f"/hooks/{made['id']}"), 404), "it is no hook"
        for cursor in ("nonsense", "WyJhIiwgImIiXQ=="):
            assert "cursor is none of this list" in refused(client.get("/webhooks", params={"cursor": cursor}), 422)

        place.options["webhooks_to_private_addresses"] = False
        place.project.settings = place.settings()
        inside = {"url": "https://169.254.169.254/latest", "events": ["sync.error"]}
        assert "not public" in refused(client.post("/webhooks", json=inside), 422)
        assert "not public" in refused(client.patch(f"/webhooks/{made['id']}", json={"url": inside["url"]}), 422)
        assert "not public" in refused(
            client.post("/hooks", json={"target_url": inside["url"], "event": "sync.error"}), 422
        )


def test_endpoints_come_in_pages(hooked):
    with hooked.as_() as client:
        ids = [
            client.post("/webhooks", json={"url": f"https://203.0.113.7/{number}", "events": ["sync.error"]}).json()[
                "id"
            ]
            for number in range(5)
        ]
        found, cursor = [], None
        while not found or cursor:
            answer = client.get("/webhooks", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            found += [each["id"] for each in answer["items"]]
            cursor = answer["next_cursor"]
        assert found == ids


def test_an_event_is_never_there_before_the_rows_that_it_tells_of(hooked, receiver, place):
    """Whoever hears that a sync is through finds what it wrote."""
    seen = []

    def answer(request):
        seen.append(len(place.rows("crm_contact")))
        return 200, {}, b""

    receiver.answer = answer
    place.execute("TRUNCATE crm.crm_contact")
    place.project.store.endpoints.create(receiver.url, ["sync.completed"])
    (run,) = place.sync(ACME, full=True)
    stored = len(place.rows("crm_contact"))
    deliver_due(place.project)
    assert run.counts.created == stored
    assert seen == [stored]
    assert stored > 0


def test_hooks_are_subscribed_sampled_and_unsubscribed(hooked, receiver):
    project = hooked.place.project
    with hooked.as_("webhooks:read", "webhooks:write", customer_id=ACME) as client:
        (sample,) = client.get("/hooks/samples", params={"event": "sync.completed"}).json()
        assert (sample["test"], sample["customer_id"]) == (True, ACME)
        hook = client.post("/hooks", json={"target_url": receiver.url + "/zap", "event": "sync.completed"})
        assert hook.status_code == 201
        hooked.place.sync(ACME, BRIGHTWATER)
        assert deliver_due(project) == 1
        (real,) = client.get("/hooks/samples", params={"event": "sync.completed"}).json()
        assert sample.keys() - {"test"} == real.keys()
        assert client.delete(f"/hooks/{hook.json()['id']}").status_code == 204
        assert refused(client.delete(f"/hooks/{hook.json()['id']}"), 404)
        hooked.place.sync(ACME)
        assert deliver_due(project) == 0


@pytest.mark.parametrize(
    ("path", "wanted", "other"),
    [
        ("/webhooks", {"url": "/in", "events": ["sync.error"]}, {"url": "/in", "events": ["sync.completed"]}),
        ("/webhooks", {"url": "/in", "events": ["sync.error"]}, {"url": "/other", "events": ["sync.error"]}),
        ("/hooks", {"target_url": "/zap", "event": "sync.error"}, {"target_url": "/zap", "event": "sync.completed"}),
    ],
)
def test_a_repeated_key_makes_one_endpoint_and_tells_its_secret_again(hooked, receiver, path, wanted, other):
    def whole(body):
        return {name: receiver.url + text if "url" in name else text for name, text in body.items()}

    key = {"Idempotency-Key": "first"}
    with hooked.as_() as client, hooked.as_() as another, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post(path, json=whole(wanted), headers=key), range(4)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 3
        assert "Idempotency-Key" in refused(client.post(path, json=whole(other), headers=key), 409)
        assert len(client.get("/webhooks").json()["items"]) == 1
        theirs = another.post(path, json=whole(wanted), headers=key)
        assert theirs.json()["id"] != answers[0].json()["id"]
        assert client.delete(f"/webhooks/{answers[0].json()['id']}").status_code == 204
        anew = client.post(path, json=whole(wanted), headers=key)
        assert (anew.status_code, anew.headers.get("idempotent-replayed")) == (201, None)
        assert anew.json().get("secret") is None or anew.json()["secret"] != answers[0].json()["secret"]
