"""Receipts of erased customers, as the API and the command line show them."""

import json

from typer.testing import CliRunner

from sync_pipelines.cli import app
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER


def test_receipts_are_found_by_who_knows_the_customer_and_name_nobody(everything, api, monkeypatch, tmp_path):
    assert everything.get("/erasures").json() == {"items": [], "next_cursor": None}
    acme = everything.delete(f"/customers/{ACME}").json()
    brightwater = everything.delete(f"/customers/{BRIGHTWATER}").json()
    again = everything.delete(f"/customers/{ACME}").json()
    newest_first = [again, brightwater, acme]
    whole = everything.get("/erasures")
    assert whole.json() == {"items": newest_first, "next_cursor": None}
    assert not [name for name in (ACME, BRIGHTWATER) if name in whole.text]

    shown, cursor = [], None
    while cursor is not None or not shown:
        one = everything.get("/erasures", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        shown, cursor = shown + one["items"], one["next_cursor"]
    assert shown == newest_first
    for customer, receipts in ((ACME, [again, acme]), (BRIGHTWATER, [brightwater]), ("never-seen", [])):
        assert everything.get("/erasures", params={"customer_id": customer}).json()["items"] == receipts
    assert "no such parameter" in refused(everything.get("/erasures", params={"customer": ACME}), 422)

    for part in (None, 1):
        api.place.project.store.erasing.finish(int(acme["id"]), dagster=None if part is None else {"partitions": part})
        (_, first) = everything.get("/erasures", params={"customer_id": ACME}).json()["items"]
        assert (first["digest"], first["final_digest"] is None) == (acme["digest"], part is None)

    monkeypatch.setenv("SYNC_PIPELINES_ENVIRONMENT", "development")
    monkeypatch.setenv("SYNC_PIPELINES_STORE_URL", api.place.store.url())
    monkeypatch.setenv("SYNC_PIPELINES_ENCRYPTION_KEYS", DEVELOPMENT_KEY)
    monkeypatch.setenv("SYNC_PIPELINES_SYNCS_DIR", str(api.place.folder))
    for name, value in api.place.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def said(*line):
        done = CliRunner().invoke(app, ["erasures", *line])
        assert done.exit_code == 0, done.output
        return done.output

    table = said("--customer", ACME)
    assert [each in table for each in (again["digest"][:12], first["final_digest"][:12])] == [True, True]
    assert brightwater["digest"][:12] not in table
    assert ACME not in said()
    (whole,) = json.loads(said("--customer", BRIGHTWATER, "--json"))
    assert (str(whole["receipt"]), whole["removed"]) == (brightwater["id"], brightwater["removed"])
    assert "no receipt of this customer" in said("--customer", "never-seen")
