"""A customer is erased everywhere, counted before and after; nobody else notices."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
import yaml

from sync_pipelines.api.serving import serve
from sync_pipelines.erasing import StillWorking, erase, nobody_works, remains
from sync_pipelines.live.applying import APPLYING
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import Account, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.erasing import HOLDS_NOTHING, digest_of, whose
from sync_pipelines.store.tables import metadata
from sync_pipelines.sync_changes import change_sync, make_sync, roll_back_sync
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN

STAYS = {"planned", "configuration_versions", "erasures"}


def test_every_table_is_the_customers_or_is_named_as_holding_nothing_of_customers():
    unknown = [
        table.name
        for table in metadata.sorted_tables
        if whose(table, "acme") is None and table.name not in HOLDS_NOTHING
    ]
    assert unknown == [], "give it customer_id or a reference to connections, or say in HOLDS_NOTHING why not"
    assert set(HOLDS_NOTHING) <= {table.name for table in metadata.sorted_tables}
    named = {table.name for table in metadata.sorted_tables if "customer_id" in table.c}
    assert named & HOLDS_NOTHING.keys() == {"erasures"}


def dump(place, customer, database, schemas):
    """Every row of a database's tables in which the customer's id stands, by table."""
    with getattr(place, database).connect() as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema = ANY(%s)",
            [schemas],
        ).fetchall()
        found = {}
        for schema, name in names:
            query = f'SELECT count(*) FROM "{schema}"."{name}" t WHERE CAST(t AS text) LIKE %s'
            (count,) = connection.execute(query, [f"%{customer}%"]).fetchone()
            if count:
                found[name] = count
        return found


@pytest.fixture
def full(place, tmp_path):
    """Two customers with rows in two tables, one of them of a sync that is gone, in files, and in most of the store."""
    lake = {"name": "lake", "type": "s3", "folder": str(tmp_path / "lake")}
    (place.folder / "destinations" / "lake.yaml").write_text(yaml.safe_dump(lake))
    contact = {"object": "contact", "custom_schema": CUSTOM_SCHEMA, "associations": ["account"]}
    place.write_sync(objects=[contact], schedule={"every": "1h"}, overrides={ACME: {"schema": "crm_of_acme"}})
    place.write_sync(name="files", objects=["account"], destination="lake")
    place.write_sync(name="former", objects=[{"object": "opportunity", "table": "old_deals"}])
    place.connect(ACME, BRIGHTWATER)
    project = place.project
    for customer, field in ((ACME, "Tier__c"), (BRIGHTWATER, "Customer_Tier__c")):
        place.map(customer, "salesforce", "contact", tier=field)
    for name, object_name in (
        ("crm", "contact"), ("crm", "contact.associations"), ("files", "account"), ("former", "opportunity")
    ):  # fmt: skip
        project.plan(name)
        for run in place.sync(ACME, BRIGHTWATER, name=name, object_name=object_name):
            assert run.status == "success", run.error_message
    (place.folder / "syncs" / "former.yaml").unlink()
    project = place.open()
    project.store.due.request("crm", [ACME, BRIGHTWATER])
    project.store.due.request("crm", [ACME])
    project.store.lifecycle.cancel("crm", [ACME, BRIGHTWATER])
    project.store.tokens.create("acme's", ["syncs:read"], customer_id=ACME)
    session, _ = project.store.connect_sessions.create(ACME, "salesforce", lives=timedelta(minutes=5))
    unconfirmed = place.control.new_tokens(BRIGHTWATER)
    project.store.connect_sessions.keep_pending(session, tokens_of(unconfirmed), Account(id="00D", name="Another"))
    place.unconfirmed = unconfirmed
    return place


def tokens_of(told):
    return Tokens(access_token=Secret(told["access_token"]), refresh_token=Secret(told["refresh_token"]))


def store_holds_credentials(place):
    return bool(place.project.store.erasing.with_credentials(ACME))


def works(account, tokens):
    """Whether the vendor still refreshes them."""
    form = {"grant_type": "refresh_token", "client_id": account.client_id, "client_secret": account.client_secret}
    url = f"{account.login_url}/services/oauth2/token"
    return httpx.post(url, data={**form, "refresh_token": tokens["refresh_token"]}).status_code == 200


SHARED = {
    "name": "shared",
    "provider": "salesforce",
    "destination": "warehouse",
    "objects": ["lead"],
    "customers": [ACME, BRIGHTWATER],
    "overrides": {ACME: {"schedule": {"every": "2h"}}, BRIGHTWATER: {"schedule": {"every": "3h"}}},
}


def test_syncs_by_api_name_the_customer_no_more_and_none_becomes_one_for_everybody(full):
    """Nor do their plan, the audit, and what they were made with."""
    project = full.project
    own = {"name": "own", "provider": "salesforce", "destination": "warehouse", "objects": ["Case"]}
    for document in (SHARED, {**own, "customers": [ACME]}):
        _, first = make_sync(project, document, actor="api:office", key=f"7:{document['name']} for {ACME}")
        assert first
    alone = {**SHARED, "customers": [ACME], "overrides": {}}
    for document in (alone, SHARED):
        change_sync(project, "shared", document, actor="api:office")
    receipt = erase(project, ACME, actor="test")
    assert (receipt.removed["store"]["api_syncs"], receipt.removed["store"]["api_sync_versions"]) == (1, 1)
    assert dump(full, ACME, "store", ["public"]).keys() <= STAYS
    with full.store.connect() as connection:
        plans = connection.execute("SELECT sync, customers FROM planned ORDER BY sync").fetchall()
        named = connection.execute("SELECT sync FROM planned p WHERE CAST(p AS text) LIKE %s", [f"%{ACME}%"]).fetchall()
        due = connection.execute("SELECT customer_id FROM due WHERE sync = 'shared'").fetchall()
    assert ("shared", [BRIGHTWATER]) in plans
    assert (named, due) == ([], [(BRIGHTWATER,)])
    (kept,) = project.store.api_syncs.list()
    assert (kept.name, kept.version, kept.actor) == ("shared", 4, "test")
    assert kept.document == {
        **SHARED, "customers": [BRIGHTWATER], "overrides": {BRIGHTWATER: SHARED["overrides"][BRIGHTWATER]}
    }  # fmt: skip
    assert project.sync("shared").customers == (BRIGHTWATER,)
    versions = project.store.api_syncs.versions("shared")
    assert [(each.version, each.document) for each in versions] == [(number, kept.document) for number in (4, 3, 1)]
    with pytest.raises(ConfigurationError, match="no version 2"):
        roll_back_sync(project, "shared", 2, actor="test")
    assert "own" not in project.configuration.syncs
    project.plan("shared")
    assert [entry.action for entry in project.store.audit.list("sync own")] == ["delete", "create"]
    assert make_sync(full.open(), {**SHARED, "name": "later", "objects": ["Task"], "customers": []}, actor="test")[1]


def others(place):
    contacts = [place.rows("crm_contact"), place.rows("old_deals", BRIGHTWATER)]
    return [repr(rows) for rows in contacts], dump(place, BRIGHTWATER, "store", ["public"])


def test_nothing_is_left_of_a_customer_and_nobody_else_loses_anything(full, tmp_path):
    project = full.project
    before = others(full)
    account = full.control.account(ACME)
    held = remains(project, ACME)
    assert held["warehouse/crm_of_acme"].keys() >= {"crm_contact", "_sync_checkpoints"}
    assert held["warehouse/crm"].keys() == {"old_deals", "_sync_checkpoints"}
    assert held["lake"] == {"crm_account": full.control.account(ACME).sizes["Account"]}
    assert held["store"].keys() >= {"connections", "credentials", "mappings", "runs", "audit", "api_tokens", "requests"}
    _, secret = project.store.tokens.create("office", ["customers:erase"])
    with serve(project) as url:
        receipt = httpx.delete(
            f"{url}/api/v1/customers/{ACME}", headers={"Authorization": f"Bearer {secret.reveal()}"}, timeout=120
        ).json()
    assert {place: counts for place, counts in receipt["removed"].items() if place != "store"} == {
        place: dict(counts) for place, counts in held.items() if place != "store"
    }
    for table, count in held["store"].items():
        assert receipt["removed"]["store"][table] == count
    assert ACME not in json.dumps(receipt)
    assert receipt["customer_hash"] == hashlib.sha256(f"{receipt['salt']}{ACME}".encode()).hexdigest()
    assert (receipt["actor"], receipt["finished_at"] is not None) == ("api:office", True)
    assert "retention" in receipt["left"][0]
    ended = {"provider": "salesforce", "ended": True, "message": "Salesforce has ended the access."}
    assert (receipt["access"], receipt["troubles"]) == ([ended, ended], [])
    assert not works(account, {"refresh_token": account.refresh_token})
    assert not works(account, full.unconfirmed)

    assert remains(project, ACME) == {}
    assert dump(full, ACME, "warehouse", ["crm", "crm_of_acme"]) == {}
    assert dump(full, ACME, "store", ["public"]).keys() <= STAYS
    assert not [path for path in (tmp_path / "lake").rglob("*") if ACME in str(path)]
    rows, stored = others(full)
    assert rows == before[0]
    # Requests and entries about both stay, without the one who is gone.
    assert stored == before[1]
    project.store.erasing.finish(int(receipt["id"]), dagster={"partitions": 1})
    (kept,) = project.store.erasing.page()
    assert (receipt["digest"], receipt["final_digest"]) == (kept.digest, None)
    assert digest_of(kept) == kept.final_digest != kept.digest
    first = {name: counts for name, counts in kept.removed.items() if name != "dagster"}
    assert digest_of(replace(kept, removed=first)) == kept.digest
    assert project.store.erasing.page(customer_id=ACME) == [kept]
    assert project.store.erasing.page(customer_id=BRIGHTWATER) == []
    assert dump(full, ACME, "store", ["public"]).keys() <= STAYS - {"erasures"}

    again = tokens_of(full.control.new_tokens(ACME))
    project.store.connections.connect(
        customer_id=ACME, provider="salesforce", tokens=again, api_url=full.control.account(ACME).api_url
    )
    assert full.sync_one(ACME).counts.created == full.control.account(ACME).sizes["Contact"]


def test_who_has_nothing_here_gets_a_receipt_of_nothing(full):
    receipt = erase(full.project, "never-seen", actor="test")
    assert receipt.removed == {"lake": {}, "store": {}, "warehouse/crm": {}}
    assert (receipt.access, receipt.troubles) == ({}, [])


def test_a_run_that_goes_on_is_waited_for_and_asked_to_stop(full):
    project = full.project
    name = (project.settings.application_id, "crm", ACME, "contact")
    working, ended = threading.Event(), threading.Event()

    def work():
        with project.store.leases.hold(*name) as held:
            assert held
            working.set()
            ended.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    working.wait(60)
    try:
        with pytest.raises(StillWorking, match="repeat"):
            erase(project, ACME, actor="test", patience=0.1)
        assert project.store.lifecycle.cancelled("crm", full.control.now() - timedelta(days=3650)) >= {ACME}
        assert full.rows("old_deals", ACME)
    finally:
        ended.set()
        thread.join()
    assert store_holds_credentials(full), "it was not begun"
    full.control.fault(ACME, "status", status=503, path="/revoke")
    receipt = erase(project, ACME, actor="test")
    assert receipt.removed["warehouse/crm"]["old_deals"] > 0
    left, ended = sorted(receipt.access.values(), key=lambda each: each["ended"])
    assert (left["ended"], ended["ended"]) == (False, True)
    assert "take the app away in Salesforce's own settings" in left["message"]
    assert not store_holds_credentials(full)
    assert [each.id for each in project.store.erasing.page()] == [receipt.id]


def test_a_destination_that_cannot_be_asked_leaves_the_customer_to_be_erased(full):
    """No receipt, and the answer says what to mend; then repeating it finishes."""
    project, broken = full.project, full.folder / "destinations" / "broken.yaml"
    document = yaml.safe_load((full.folder / "destinations" / "warehouse.yaml").read_text())
    document["name"] = "broken"
    document["credentials"]["user"] = "nobody_here"
    broken.write_text(yaml.safe_dump(document))
    project = full.open()
    _, secret = project.store.tokens.create("office", ["customers:erase"])
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    with serve(project) as url:
        answer = httpx.delete(f"{url}/api/v1/customers/{ACME}", headers=headers, timeout=120)
        assert (answer.status_code, answer.json()["error_type"]) == (502, "destination")
        assert "nobody_here" in answer.json()["detail"]
        assert httpx.delete(f"{url}/api/v1/customers/a%20%00b", headers=headers).status_code == 422
    (begun,) = project.store.erasing.page()
    assert begun.finished_at is None
    assert [each["ended"] for each in begun.access.values()] == [True, True], "it does not wait for what is broken"
    broken.unlink()
    finished = erase(full.open(), ACME, actor="test")
    assert finished.finished_at is not None
    assert (finished.access, finished.removed["store"]["credentials"]) == (begun.access, 1)
    assert remains(full.project, ACME) == {}


def test_nothing_of_the_customer_runs_meanwhile(full):
    project = full.project
    name = (project.settings.application_id, "crm", ACME, "contact", APPLYING)
    with nobody_works(project, ACME):
        # What the vendor tells by itself is applied under a lease of its own.
        with project.store.leases.hold(*name) as ours:
            assert not ours
        assert full.sync_one(ACME).status == "skipped"
        assert full.sync_one(BRIGHTWATER).status == "success"


KILLED = """
import os, signal
from sync_pipelines.store.erasing import Erasing
Erasing.remove = lambda *arguments, **more: os.kill(os.getpid(), signal.SIGKILL)
from sync_pipelines.cli import app
app(["erase", "acme-robotics", "--yes"])
"""


def test_killed_half_way_it_finishes_when_it_is_repeated(full, command_line, monkeypatch):
    command_line.at(full)
    held = remains(full.project, ACME)
    killed = subprocess.run([sys.executable, "-c", KILLED], env=os.environ, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    half = remains(full.project, ACME)
    assert half.keys() == {"store"}
    refused = command_line("erase", ACME, stdin="acme\n")
    assert refused.code != 0
    assert "Nothing was erased" in refused.text
    answer = command_line("erase", ACME, stdin=f"{ACME}\n")
    assert answer.code == 0, answer.text
    receipt = json.loads(answer.out)
    assert receipt["removed"]["warehouse/crm"] == dict(held["warehouse/crm"])
    assert receipt["removed"]["lake"] == dict(held["lake"])
    assert {each["ended"] for each in receipt["access"]} == {True}
    assert receipt["removed"]["store"]["runs"] == held["store"]["runs"]
    assert remains(full.project, ACME) == {}
    assert len(full.project.store.erasing.page()) == 1


def test_a_bucket_that_keeps_old_versions_keeps_none_of_the_customer(place, bucket):
    from sync_pipelines_tests.fixtures.bucket import KEY, KEY_ID

    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    credentials = {
        "bucket": bucket.name,
        "region": "us-east-1",
        "endpoint_url": bucket.endpoint_url,
        "access_key_id": KEY_ID,
        "secret_access_key": KEY,
    }
    document = {"name": "lake", "type": "s3", "credentials": credentials}
    (place.folder / "destinations" / "lake.yaml").write_text(yaml.safe_dump(document))
    place.write_sync(name="files", provider="hubspot", objects=["company"], destination="lake")
    (place.folder / "syncs" / "crm.yaml").unlink()
    place.open()
    place.connect(LUMEN)
    for _ in range(2):
        place.control.change(LUMEN, "companies", updated=3)
        assert place.sync(LUMEN, name="files")[0].status == "success"
    assert len(bucket.client.list_object_versions(Bucket=bucket.name)["Versions"]) > 3
    receipt = erase(place.project, LUMEN, actor="test")
    assert receipt.removed["lake"]["crm_account"] > 0
    left = bucket.client.list_object_versions(Bucket=bucket.name)
    assert left.get("Versions", []) == left.get("DeleteMarkers", []) == []


def test_a_database_that_is_not_there_is_trouble_unless_it_would_be_the_customers_own(place):
    place.write_sync(objects=["account"])
    place.connect(ACME)
    place.sync(ACME, object_name="account")
    known = yaml.safe_load((place.folder / "destinations" / "warehouse.yaml").read_text())
    for name, database in (("misspelt", "warehuose"), ("own", "of_${CUSTOMER_ID}")):
        credentials = {**known["credentials"], "database": database}
        written = yaml.safe_dump({**known, "name": name, "credentials": credentials})
        (place.folder / "destinations" / f"{name}.yaml").write_text(written)
    place.open()
    receipt = erase(place.project, ACME, actor="tests")
    (told,) = receipt.troubles
    assert "in the destination misspelt: " in told
    assert "warehuose" in told
    assert receipt.removed["warehouse/crm"]
