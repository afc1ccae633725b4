"""What tests and the demo can do to a running sandbox."""

from datetime import timedelta

import pytest

from sync_pipelines.sandbox.control import SandboxError
from sync_pipelines.sandbox.serving import serve_process

from .conftest import API, Caller


def truth(sandbox, account, object):
    return {record["id"]: record for record in sandbox.truth(account, object)}


@pytest.mark.parametrize(("account", "object"), [("acme-robotics", "Contact"), ("lumen-bakery", "contacts")])
def test_a_seeded_change_tells_what_it_did(sandbox, account, object):
    before = truth(sandbox, account, object)
    began = sandbox.clock(frozen=True)
    changed = sandbox.change(account, object, seed=4, updated=5, created=3, deleted=4, merged=2)
    assert {kind: len(ids) for kind, ids in changed.items()} == {"updated": 5, "created": 3, "deleted": 4, "merged": 2}
    after = truth(sandbox, account, object)
    assert set(after) - set(before) == set(changed["created"])
    different = {id for id in before if before[id] != after[id]}
    touched = {*changed["updated"], *changed["deleted"], *(id for pair in changed["merged"] for id in pair)}
    assert different == touched
    gone = {id for id in before if after[id]["deleted"] and not before[id]["deleted"]}
    assert gone == {*changed["deleted"], *(loser for loser, _ in changed["merged"])}
    for loser, winner in changed["merged"]:
        if account == "acme-robotics":
            assert after[loser]["fields"]["MasterRecordId"] == winner
        else:
            assert loser in after[winner]["fields"]["hs_merged_object_ids"]
    assert sandbox.now() == began + timedelta(seconds=1)
    sandbox.clock(frozen=False)


def test_the_same_change_after_a_reset_is_the_same(sandbox):
    first = sandbox.change("acme-robotics", "Contact", seed=4, updated=5, created=2)
    sandbox.reset()
    assert sandbox.change("acme-robotics", "Contact", seed=4, updated=5, created=2) == first


def test_more_than_there_is_cannot_be_changed(sandbox):
    with pytest.raises(SandboxError, match="are needed"):
        sandbox.change("quill-media", "contacts", deleted=1000)
    with pytest.raises(SandboxError, match="no object"):
        sandbox.change("quill-media", "nope", deleted=1)


def test_a_late_commit_is_seen_later_with_its_earlier_stamp(sandbox, soql):
    sandbox.clock(frozen=True, set="2026-11-01T12:00:00Z")
    fresh = sandbox.record(
        "acme-robotics", "Contact", fields={"LastName": "Late"}, modified="2026-11-01T11:59:00Z",
        visible="2026-11-01T12:05:00Z",
    )  # fmt: skip
    known = next(sandbox.truth("acme-robotics", "Contact"))
    sandbox.record(
        "acme-robotics", "Contact", id=known["id"], fields={"FirstName": "Changed"}, visible="2026-11-01T12:05:00Z"
    )
    assert fresh not in truth(sandbox, "acme-robotics", "Contact")
    assert truth(sandbox, "acme-robotics", "Contact")[known["id"]] == known
    sandbox.clock(advance=299)
    assert fresh not in truth(sandbox, "acme-robotics", "Contact")
    sandbox.clock(advance=1)
    after = truth(sandbox, "acme-robotics", "Contact")
    assert after[fresh]["modified"] == "2026-11-01T11:59:00.000Z"
    assert after[known["id"]]["fields"]["FirstName"] == "Changed"
    assert after[known["id"]]["modified"] == "2026-11-01T12:00:00.000Z"
    sandbox.clock(frozen=False)


def test_single_changes_with_given_stamps(sandbox):
    id = sandbox.record(
        "lumen-bakery",
        "companies",
        fields={"name": "Fresh"},
        created="2026-01-01T00:00:00Z",
        modified="2026-02-01T00:00:00Z",
    )
    made = truth(sandbox, "lumen-bakery", "companies")[id]
    assert (made["created"], made["modified"]) == ("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z")
    sandbox.record("lumen-bakery", "companies", operation="delete", id=id, modified="2026-03-01T00:00:00Z")
    assert truth(sandbox, "lumen-bakery", "companies")[id]["archived_at"] == "2026-03-01T00:00:00.000Z"
    sandbox.record("lumen-bakery", "companies", operation="purge", id=id)
    assert id not in truth(sandbox, "lumen-bakery", "companies")
    with pytest.raises(SandboxError, match="has no companies"):
        sandbox.record("lumen-bakery", "companies", operation="delete", id=id)
    with pytest.raises(SandboxError, match="has no field nope"):
        sandbox.record("lumen-bakery", "companies", fields={"nope": "x"})
    with pytest.raises(SandboxError, match="known: upsert"):
        sandbox.record("lumen-bakery", "companies", operation="explode", id="9701")


def test_an_id_of_the_callers_choice_never_meets_a_later_one(sandbox):
    far = "900001"
    assert sandbox.record("lumen-bakery", "companies", id=far, fields={"name": "Far"}) == far
    [after] = sandbox.change("lumen-bakery", "companies", created=1)["created"]
    assert int(after) > int(far)


def test_two_records_are_linked(sandbox):
    contact = list(truth(sandbox, "lumen-bakery", "contacts"))[7]
    company = list(truth(sandbox, "lumen-bakery", "companies"))[7]
    sandbox.link("lumen-bakery", ("contacts", contact), ("companies", company))
    found = truth(sandbox, "lumen-bakery", "contacts")[contact]["associations"]["companies"]
    assert [company, 1] in found


def test_the_truth_is_in_the_order_of_ids_and_holds_the_deleted_ones(sandbox):
    records = list(sandbox.truth("acme-robotics", "Contact"))
    assert [record["id"] for record in records] == sorted(record["id"] for record in records)
    assert any(record["deleted"] for record in records)
    assert all(record["deleted"] == record["fields"]["IsDeleted"] for record in records)


def test_calls_are_logged_with_their_account(sandbox, salesforce):
    last = sandbox.calls()[-1]["number"] if sandbox.calls() else 0
    salesforce.get(f"{API}/query", params={"q": "SELECT Id FROM User"})
    salesforce.get(f"{API}/nowhere")
    [call] = sandbox.calls(account="acme-robotics", since=last)
    assert (call["method"], call["status"]) == ("GET", 200)
    assert call["params"] == [["q", "SELECT Id FROM User"]]
    assert [call["status"] for call in sandbox.calls(since=last)] == [200, 404]


@pytest.mark.parametrize("time", ["first", "second", "third"])
def test_a_reset_brings_everything_back(sandbox, time):
    before = truth(sandbox, "lumen-bakery", "contacts")
    sandbox.fault("lumen-bakery", "status", status=500)
    sandbox.fault("lumen-bakery", "field_vanished", object="contacts", field="arr")
    sandbox.change("lumen-bakery", "contacts", deleted=50)
    sandbox.revoke_tokens("lumen-bakery")
    sandbox.clock(advance=100_000)
    sandbox.reset()
    assert truth(sandbox, "lumen-bakery", "contacts") == before
    with Caller(sandbox.account("lumen-bakery")) as caller:
        assert caller.get("/crm/v3/objects/contacts").status_code == 200


def test_settings_that_are_not_known_are_refused(sandbox):
    with pytest.raises(SandboxError, match="search_lag"):
        sandbox.settings("lumen-bakery", nope=1)


def test_it_runs_as_a_process_of_its_own(tmp_path):
    with serve_process(tmp_path, scale=0.01, epoch="2026-09-01T00:00:00Z") as control:
        assert len(control.accounts()) == 6
        with Caller(control.account("quill-media")) as caller:
            assert caller.get("/crm/v3/objects/contacts").status_code == 200
        assert control.now().isoformat() >= "2026-09-01"
