"""Receipts of erased customers, as the API and the command line show them."""

import json

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER


def test_receipts_are_found_by_who_knows_the_customer_and_name_nobody(everything, api, command_line):
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

    run = command_line.at(api.place)

    def said(*line):
        done = run("erasures", *line)
        assert done.code == 0, done.text
        return done.out

    table = said("--customer", ACME)
    assert [each in table for each in (again["digest"][:12], first["final_digest"][:12])] == [True, True]
    assert brightwater["digest"][:12] not in table
    assert ACME not in said()
    (whole,) = json.loads(said("--customer", BRIGHTWATER, "--json"))
    assert (str(whole["receipt"]), whole["removed"]) == (brightwater["id"], brightwater["removed"])
    assert "no receipt of this customer" in said("--customer", "never-seen")
