"""One call of every operation that can only succeed, on things that are there."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import httpx

from sync_pipelines_tests.api.conftest import PATH
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

RECEIVER = "http://127.0.0.1:9/in"
"""Nobody listens there, so that a trial of an endpoint ends at once."""

LEADS = {"name": "leads", "provider": "salesforce", "destination": "warehouse", "objects": ["lead"]}
PROVIDER = {"name": "own salesforce", "provider_name": "salesforce", "auth_type": "client_credentials"}
NAMES = {"providers": PROVIDER["name"], "destinations": "archive"}
"""Of those made by API, by the first word of their paths."""
BODIES = {
    ("POST", "/syncs"): {**LEADS, "name": "opportunities", "objects": ["opportunity"]},
    ("PUT", "/syncs/{id}"): {**LEADS, "schedule": "daily"},
    ("POST", "/syncs/{id}/rollback"): {"version": 1, "reason": "as it was"},
    ("PUT", "/connections/{customer_id}/{provider}/objects/{object}/mapping"): {"fields": {"tier": "LastName"}},
    ("POST", "/providers"): {**PROVIDER, "name": "salesforce of others"},
    ("PUT", "/providers/{name}"): {**PROVIDER, "reserve": 0.2},
    ("POST", "/connect-sessions"): {"customer_id": ACME, "provider": "salesforce"},
    ("POST", "/webhooks"): {"url": RECEIVER, "events": ["sync.error"]},
    ("PATCH", "/webhooks/{id}"): {"description": "for the team"},
    ("POST", "/webhooks/{id}/replay"): {"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat()},
    ("POST", "/hooks"): {"target_url": RECEIVER, "event": "sync.completed"},
}
"""For operations that need a body."""
OF_SYNCS_MADE_BY_API = {
    ("put", "/syncs/{id}"),
    ("delete", "/syncs/{id}"),
    ("get", "/syncs/{id}/versions"),
    ("post", "/syncs/{id}/rollback"),
}


@dataclass
class Known:
    """What is there to call for. `ids`: the path's `id` by its first word."""

    client: httpx.Client
    ids: dict
    others: dict
    record: str
    bodies: dict

    def path_parameters(self, operation):
        path = operation.path.removeprefix(PATH)
        made_by_api = (operation.method, path) in OF_SYNCS_MADE_BY_API
        id = LEADS["name"] if made_by_api else self.ids.get(path.split("/")[1])
        values = {**self.others, "id": id, "name": NAMES.get(path.split("/")[1])}
        if path.startswith("/customers") and operation.method == "delete":
            values["customer_id"] = BRIGHTWATER
        return {each.name: values[each.name] for each in operation.path_parameters if each.name in values}

    def call(self, operation):
        """The sound call. Whoever adds an operation that needs more than a path adds it to this module."""
        path = operation.path.removeprefix(PATH)
        named = (operation.method.upper(), path)
        bodies = {**BODIES, **self.bodies}
        more = {"body": bodies[named], "media_type": "application/json"} if named in bodies else {}
        if path == "/syncs/{id}/explain":
            more["query"] = {"object": "contact", "record": self.record, "customer_id": ACME, "column": "last_name"}
        if path == "/hooks/samples":
            more["query"] = {"event": "sync.error"}
        if named == ("PUT", "/syncs/{id}"):
            more["headers"] = {"If-Match": self.client.get(f"/syncs/{LEADS['name']}").headers["etag"]}
        if named == ("PUT", "/providers/{name}"):
            more["headers"] = {"If-Match": self.client.get(f"/providers/{PROVIDER['name']}").headers["etag"]}
        return operation.Case(path_parameters=self.path_parameters(operation), **more)


def known_by(api, client):
    """Everything that a path can name, made on the API's place."""
    place = api.place
    for field_of_the_account in ("LastName", "FirstName"):
        place.map(ACME, "salesforce", "contact", tier=field_of_the_account)
    client.post("/syncs", json=LEADS).raise_for_status()
    client.post("/providers", json=PROVIDER).raise_for_status()
    # Erasing a customer asks every destination: it has to answer.
    files = {"name": "archive", "type": "s3", "folder": str(place.folder.parent / "archive")}
    client.post("/destinations", json=files).raise_for_status()
    request = client.post("/syncs/crm/trigger").raise_for_status().json()
    run = client.get("/syncs/crm/runs").raise_for_status().json()["items"][0]
    endpoint = client.post("/webhooks", json=BODIES["POST", "/webhooks"]).raise_for_status().json()
    client.post(f"/webhooks/{endpoint['id']}/test").raise_for_status()
    delivery = client.get(f"/webhooks/{endpoint['id']}/deliveries").raise_for_status().json()["items"][0]
    hook = client.post("/hooks", json=BODIES["POST", "/hooks"]).raise_for_status().json()
    refresh_token = place.control.new_tokens(ACME)["refresh_token"]
    return Known(
        client=client,
        ids={
            "syncs": "crm",
            "custom-schemas": "crm",
            "requests": request["id"],
            "webhooks": endpoint["id"],
            "hooks": hook["id"],
        },
        others=MappingProxyType(
            {
                "customer_id": ACME,
                "provider": "salesforce",
                "object": "contact",
                "run_id": run["id"],
                "delivery_id": delivery["id"],
            }
        ),
        record=place.rows("crm_contact", ACME)[0]["id"],
        bodies={
            ("POST", "/connections"): {"customer_id": ACME, "provider": "salesforce", "refresh_token": refresh_token},
            ("POST", "/destinations"): {**files, "name": "lake"},
            ("PUT", "/destinations/{name}"): {**files, "format": "jsonl"},
        },
    )
