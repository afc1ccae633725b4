"""How much one customer may map, and how much the rules of a record may take: the row stays, and it is said why."""

import json

import pytest

from sync_pipelines.config.rules import rules_from
from sync_pipelines_tests.fixtures.place import ACME

SCHEMA = {"version": 1, "fields": ["tier", "region"], "allow_additional_fields": True}
LARGE = {"source": "Name", "transform": [{"name": "custom", "expression": "[" + ", ".join(["value"] * 190) + "]"}] * 2}
"""What it makes is 36,100 times what it is given."""
WORK = {"source": "Name", "transform": [{"name": "custom", "expression": f"[{', '.join(['1 + 1'] * 95)}][0] // 2"}] * 5}
"""It takes much and makes little."""


@pytest.fixture
def place(unhurried):
    unhurried.write_sync(objects=[{"object": "account", "custom_schema": SCHEMA}])
    unhurried.connect(ACME)
    return unhurried


def save(place, rules):
    place.project.store.mappings.save(ACME, "salesforce", "account", rules_from(rules))


def fields(number, rule="Name"):
    return {f"own_{at}": rule for at in range(number)}


def test_so_many_additional_fields_and_transforms_are_taken_and_no_more(place, command_line, tmp_path):
    shell, file = command_line.at(place), tmp_path / "rules.json"

    def mapped(rules, *more):
        file.write_text(json.dumps(rules))
        return shell("mapping", "set", ACME, "salesforce", "account", "--rules", str(file), "--dry-run", *more)

    assert mapped({**fields(100), "tier": "Tier__c"}).code == 0
    for more in ((), ("--no-check",)):
        answer = mapped(fields(101), *more)
        assert (answer.code, "may map at most 100 additional fields of account, not 101" in answer.text) == (2, True)
        answer = mapped(fields(26, {"source": "Name", "transform": ["none"] * 20}), *more)
        assert (answer.code, "may have 500 transforms together, not 520" in answer.text) == (2, True)

    # More of them were saved before there was a limit: they stay, and hinder no change of another field.
    save(place, fields(150))
    assert mapped({"tier": "Tier__c", "own_1": ""}).code == 0
    assert mapped({"own_1": "Tier__c"}).code == 2


def made(rows):
    return {row["id"]: [row[name] for name in ("tier", "region", "additional_fields", "_sync_errors")] for row in rows}


def made_afresh(place):
    """What a first read into another table makes of the same records."""
    place.write_sync(objects=[{"object": "account", "custom_schema": SCHEMA, "table": "afresh"}])
    place.sync_one(ACME)
    return made(place.rows("afresh", ACME))


def test_a_row_whose_rules_take_too_much_is_kept_and_says_so(place, command_line):
    work = {f"work_{at}": WORK for at in range(30)}
    save(place, {**fields(3, LARGE), **work, "plain": "Name", "region": LARGE, "tier": "Tier__c"})
    run = place.sync_one(ACME)
    rows = place.rows("crm_account", ACME)
    assert run.status == "success"
    assert len(rows) == len(list(place.control.truth(ACME, "Account")))
    assert run.counts.invalid == 2 * len(rows)
    for row in rows:
        own, error = row["additional_fields"], row["_sync_errors"]
        assert (row["tier"], own["plain"]) == (row["raw_data"]["Tier__c"], row["raw_data"]["Name"])
        assert (row["region"], own["own_0"]) == (None, None)
        assert error["region"] == {
            "field": "Name",
            "value": row["raw_data"]["Name"],
            "reason": "The value leads to a list of more than 100000 characters.",
        }
        assert (own["work_0"], own["work_29"]) == (1, None)
        assert "work_29: The value takes, with the rules before it, more work" in error["additional_fields"]["reason"]
    told = command_line.at(place)("failed", ACME).text
    assert "a list of more than 100000 characters" in told

    # `region` and the additional fields are made anew alone, behind `tier`, which takes much of what a record may take.
    rules = {name: {**WORK, "transform": WORK["transform"] * 3} for name in ("tier", "region")}
    save(place, {"tier": rules["tier"], **work})
    place.sync_one(ACME)
    save(place, {**rules, **work, "work_0": "Name"})
    run = place.sync_one(ACME)
    rows = place.rows("crm_account", ACME)
    assert (run.full, run.counts.updated) == (False, len(rows))
    assert {row["region"] for row in rows} == {"1"}
    assert all(0 < list(row["additional_fields"].values()).count(1) < 25 for row in rows)
    assert made(rows) == made_afresh(place)
