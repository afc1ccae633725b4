"""What the destination must hold, worked out from the CRM without the engine's code, column by column."""

import json
from decimal import Decimal

from sync_pipelines.cli.demo.oracle import CUSTOM, NOT_READ, ORACLES
from sync_pipelines.cli.demo.verify import NOT_SHOWN
from sync_pipelines.model.filter import DELETE, KEEP
from sync_pipelines.model.schema_change import EVOLVE
from sync_pipelines.sandbox.hubspot_schema import stages
from sync_pipelines_tests.simulation.shapes import FILLS_GAPS, SHAPED, TRANSFORMS

PASSING = ("_sync_emitted_at", "_sync_run_id", "_sync_hash")


class Fields(dict):
    """A record's fields as the account shows them; one that vanished is empty."""

    def __missing__(self, name):
        return None

    def get(self, name, otherwise=None):
        return dict.get(self, name, otherwise)


class Oracle:
    """One life's. `mapping`: schema field -> vendor field. `may_be_behind`: an incremental read was the last one.

    Then what changed without a stamp need not be there yet: a purge, and the fields in `records.unstamped`.
    `mode_changed`: only a full read settles what becomes of rows of deleted records then.
    """

    def __init__(self, setup, records, mapping, account, *, may_be_behind, mode_changed, transform=""):
        self._setup = setup
        self._records = records
        self._mapping = mapping
        self._behind = may_be_behind
        self._mode_changed = mode_changed
        self._transform = transform
        self._unstamped = records.unstamped if may_be_behind else frozenset()
        self._labels = _labels(account.account_id) if setup.vendor == "hubspot" else {}

    def differences(self, rows):
        """What is wrong with all rows of the scope, as sentences."""
        left = {row["id"]: row for row in rows}
        if len(left) != len(rows):
            yield "an id is there twice"
        truths = self._records.truths()
        if self._setup.mode == "append":
            yield from self._not_added(truths, left)
            return
        survivors = _survivors(truths) if self._setup.vendor == "hubspot" else {}
        for truth in truths:
            row = left.pop(truth["id"], None)
            if self._setup.shape.conditions and (truth["deleted"] or not self._is_chosen(truth)):
                yield from self._not_wanted(truth, row)
            elif row is None:
                yield from self._missing(truth)
            elif self._setup.mode == "mirror" and truth["deleted"]:
                if not (self._behind and self._mode_changed and row["is_deleted"]):
                    yield f"{truth['id']} is deleted and should have gone"
            else:
                yield from self._unequal(truth, row, survivors)
        for id, row in left.items():
            yield from self._without_record(id, row)

    def wrong_when_added(self, rows):
        """What is wrong with rows in append mode that were added just now."""
        truths = {truth["id"]: truth for truth in self._records.truths()}
        for row in rows:
            if row["id"] in self._records.late:
                continue
            if row["id"] not in truths or truths[row["id"]]["deleted"]:
                yield f"{row['id']} is no record that is alive"
            elif not self._is_chosen(truths[row["id"]]):
                yield f"{row['id']} is not to be copied"
            elif self._setup.shape.policy == EVOLVE:  # of others, fields may wait to be accepted
                yield from self._unequal(truths[row["id"]], row, {})

    def _not_added(self, truths, rows):
        """In append mode, where rows tell of what was there once."""
        for truth in truths:
            if not truth["deleted"] and truth["id"] not in rows and self._is_chosen(truth):
                yield f"{truth['id']} is missing"
        for id in rows.keys() - {truth["id"] for truth in truths} - self._records.purged:
            yield f"{id} is there and never was in the CRM"

    def _is_chosen(self, truth):
        return self._setup.shape.chooses(truth["fields"])

    def _not_wanted(self, truth, row):
        """The record is deleted, or does not meet the filter. Both may be known of a row, and either of none."""
        kept = self._setup.shape.leaving == KEEP and not truth["deleted"]
        if row is None or kept:
            return
        passing = self._behind and self._mode_changed and row["is_deleted"]
        if self._setup.mode == "mirror" and not passing:
            yield f"{truth['id']} is not wanted and should have gone"
        elif self._setup.shape.leaving == DELETE and not truth["deleted"]:
            yield f"{truth['id']} left the filter and should have gone"
        elif not row["is_deleted"]:
            yield f"{truth['id']} is not wanted and does not count as deleted"

    def _missing(self, truth):
        gone = truth["deleted"] and (self._setup.mode == "mirror" or (self._behind and self._mode_changed))
        if not gone:
            yield f"{truth['id']} is missing"

    def _without_record(self, id, row):
        if id not in self._records.purged:
            yield f"{id} is there and never was in the CRM"
        elif self._behind:
            return
        elif self._setup.mode == "mirror":
            yield f"{id} was purged and should have gone"
        elif not row["is_deleted"]:
            yield f"{id} was purged and does not count as deleted"

    def _unequal(self, truth, row, survivors):
        fields = Fields({n: v for n, v in truth["fields"].items() if n not in self._records.hidden})
        shown = {**truth, "fields": fields}
        expected = ORACLES[self._setup.vendor](self._setup.word, shown, self._labels)
        if truth["id"] in survivors:
            expected["_sync_merged_into"] = survivors[truth["id"]]
        known = {name.casefold(): name for name in fields}
        for name in self._setup.customs:
            source = self._mapping.get(name) or known.get(name, name)
            if source not in self._unstamped:
                expected[name] = CUSTOM[name](_spelled(fields[source]))
                if name == SHAPED and self._transform:
                    if self._transform in FILLS_GAPS and source not in fields:
                        del expected[name]
                    else:
                        expected[name] = TRANSFORMS[self._transform][1](expected[name])
        errors = row["_sync_errors"] or {}
        for column, value in expected.items():
            yield from _wrong(truth["id"], column, row[column], value, errors)
        if self._setup.raw_fields:
            yield from self._unequal_raw(truth["id"], fields, row["raw_data"])

    def _unequal_raw(self, id, fields, raw):
        stored = raw.get("properties", raw) if isinstance(raw, dict) else {}
        for name, value in fields.items():
            if name in NOT_SHOWN or name in self._unstamped:
                continue
            if name not in stored:
                yield f"{id}: raw_data lacks {name}"
            elif _normal(stored[name]) != _normal(value):
                yield f"{id}: raw_data.{name} is {stored[name]!r} and should be {value!r}"
        for name in sorted(self._records.hidden & stored.keys() - self._unstamped):
            yield f"{id}: raw_data still holds {name}, which vanished"


def _wrong(id, column, stored, value, errors):
    value = value.replace("\x00", "") if isinstance(value, str) else value
    if value is NOT_READ:
        if stored is not None or column not in errors:
            yield f"{id}: {column} is {stored!r}, although the CRM's value does not fit"
    elif stored != value and not _same_number(stored, value):
        yield f"{id}: {column} is {stored!r} and should be {value!r}"
    elif column in errors:
        yield f"{id}: {column} has an error although its value fits: {errors[column]}"


def _spelled(value):
    """A number has one spelling, however the vendor writes it: 5.0 and 5 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _survivors(truths):
    """{loser: survivor} as HubSpot's survivors tell it."""
    return {
        loser: truth["id"]
        for truth in truths
        for loser in (truth["fields"].get("hs_merged_object_ids") or "").split(";")
        if loser
    }


def _labels(portal):
    found = {}
    for pipeline, label, steps in stages(int(portal)):
        found[pipeline] = label
        found.update({step: text for step, text, _, _ in steps})
    return found


def _same_number(stored, value):
    return isinstance(value, Decimal) and isinstance(stored, int | Decimal) and Decimal(stored) == value


def _normal(value):
    """Bulk answers leave empty texts out."""
    if isinstance(value, str):
        return value.replace("\x00", "") or None
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
