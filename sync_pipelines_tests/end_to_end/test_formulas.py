"""Formula and roll-up fields, which change without their records counting as changed."""

import pytest

from sync_pipelines.config import ConfigurationProblems
from sync_pipelines_tests.fixtures.place import ACME, LUMEN

VENDORS = {
    "salesforce": (ACME, "Contact", "Score__c", "Title"),
    "hubspot": (LUMEN, "contacts", "score", "jobtitle"),
}
every_vendor = pytest.mark.parametrize("vendor", VENDORS)
DAY = 26 * 3600


class Account:
    def __init__(self, place, vendor, **rest):
        self.place, self.vendor = place, vendor
        self.customer, self.object, self.formula, self.plain = VENDORS[vendor]
        fields = [
            {"name": "score", "type": "numeric", "sources": {vendor: self.formula}},
            {"name": "title", "type": "numeric", "sources": {vendor: self.plain}},
        ]
        self.declared = {"object": "contact", "custom_schema": {"fields": fields}, "formula_refresh": "daily"} | rest
        place.write_sync(provider=vendor, objects=[self.declared])
        place.connect(self.customer)
        self.ids = [entry["id"] for entry in place.control.truth(self.customer, self.object) if not entry["deleted"]]
        self.give(1, kind="field_added", type="number" if vendor == "hubspot" else "double", calculated=True)

    def give(self, value, *ids, kind="values_changed", **options):
        """The formula's value, in every record or in these; no record counts as changed."""
        value = str(value) if self.vendor == "hubspot" else value
        options |= {"ids": list(ids)} if ids else {}
        self.place.control.fault(self.customer, kind, object=self.object, field=self.formula, value=value, **options)

    def sync(self, **options):
        run = self.place.sync_one(self.customer, **options)
        assert run.status == "success"
        return run

    def a_day_later(self, **options):
        self.place.control.clock(advance=DAY)
        return self.sync(**options)

    def rows(self):
        return {row["id"]: row for row in self.place.rows("crm_contact", self.customer)}

    def score(self, row):
        return row["raw_data"].get("properties", row["raw_data"])[self.formula]


def refreshed(run):
    return [notice for notice in run.notices if notice.startswith("Formula")]


@every_vendor
def test_formulas_are_read_once_a_day_and_touch_only_what_they_changed(unhurried, vendor):
    account = Account(unhurried, vendor)
    account.sync()
    changed = account.ids[:7]
    account.give(5.5, *changed)
    assert refreshed(account.sync()) == []
    before = account.rows()
    assert {row["score"] for row in before.values()} == {1}
    run = account.a_day_later()
    assert (run.full, run.counts.updated, run.counts.created, run.counts.deleted) == (False, len(changed), 0, 0)
    (notice,) = refreshed(run)
    assert f"were read of {len(before)} records; in {len(changed)} stored ones they had changed" in notice
    kept = ("score", "raw_data", "_sync_hash", "_sync_emitted_at", "_sync_run_id")
    for id, row in account.rows().items():
        if id in changed:
            assert (row["score"], float(account.score(row)), row["_sync_run_id"]) == (5.5, 5.5, run.run_id)
            # Errors of other columns stay.
            assert {k: v for k, v in row.items() if k not in kept} == {
                k: v for k, v in before[id].items() if k not in kept
            }
        else:
            assert row == before[id]
    assert account.sync().counts.changed == 0
    # What stands in the rows is what the vendor would give: a full read finds nothing to change, ...
    assert account.sync(full=True).counts.changed == 0
    # ... and a value that goes back is not taken for the one that was read first.
    account.give(7, *changed)
    account.a_day_later()
    account.give(5.5, *changed)
    assert account.sync(full=True).counts.updated == len(changed)
    assert {account.rows()[id]["score"] for id in changed} == {5.5}


@every_vendor
def test_formula_values_that_do_not_fit_are_kept_beside_their_column(unhurried, vendor):
    account = Account(unhurried, vendor)
    account.sync()
    one = account.ids[0]
    account.give("a few", one)
    run = account.a_day_later()
    # The title does not fit its column either; that is no news of this run.
    assert run.counts.invalid >= 1
    row = account.rows()[one]
    assert (row["score"], row["_sync_errors"]["score"]["value"]) == (None, "a few")
    account.give(3, one)
    account.a_day_later()
    row = account.rows()[one]
    assert (row["score"], "score" in (row["_sync_errors"] or {})) == (3, False)


@every_vendor
def test_a_refresh_that_dies_goes_on_where_it_was_and_deleted_rows_stay_deleted(unhurried, vendor):
    unhurried.options["chunk_rows"] = 20
    account = Account(unhurried, vendor)
    unhurried.write_sync(provider=vendor, objects=[account.declared])
    unhurried.control.fault(account.customer, "short_pages", size=20)
    account.sync()
    gone = account.ids[0]
    unhurried.execute("UPDATE crm.crm_contact SET is_deleted = true WHERE id = %s", gone)
    account.give(4)
    unhurried.control.clock(advance=DAY)
    stored = []

    def die(step):
        stored.append(step)
        if step == "remap.updated" and stored.count("formulas.stored") == 2:
            raise RuntimeError("died")

    assert unhurried.sync_one(account.customer, observe=die).status == "error"
    halfway = [row["score"] for row in account.rows().values()]
    assert 0 < halfway.count(4) < len(halfway)
    steps = []
    account.sync(observe=steps.append)
    assert steps.count("formulas.stored") >= 1
    assert {row["score"] for id, row in account.rows().items() if id != gone} == {4}
    assert account.rows()[gone]["is_deleted"]
    assert refreshed(account.sync()) == []


def test_without_stored_records_there_is_nothing_to_compare_with(place):
    with pytest.raises(ConfigurationProblems, match="formula_refresh"):
        place.write_sync(objects=[{"object": "contact", "raw_fields": False, "formula_refresh": "daily"}])


@pytest.mark.parametrize("written", [{"every": "1 hour"}, {"cron": "0 4 * * *"}, "weekly"])
def test_the_schedule_is_written_like_any_other(unhurried, written):
    account = Account(unhurried, "salesforce", formula_refresh=written)
    account.sync()
    account.give(2)
    hours = {"weekly": 24 * 8}.get(written if isinstance(written, str) else "", 26)
    unhurried.control.clock(advance=hours * 3600)
    assert refreshed(account.sync()) != []
    assert refreshed(account.sync()) == []
