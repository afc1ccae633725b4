"""`sync-pipelines preview` over the sandbox: what it shows is what a sync then stores, and it writes nothing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.previewing import find_sync, preview
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN

CUSTOMER = {"salesforce": ACME, "hubspot": LUMEN}
OBJECT = {"salesforce": "Account", "hubspot": "companies"}
NAME = {"salesforce": "Name", "hubspot": "name"}

every_vendor = pytest.mark.parametrize("vendor", CUSTOMER)


def stored_in(database):
    """Every row of every table of a database, and its columns."""
    with database.connect() as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name, array_agg(column_name::text ORDER BY ordinal_position) "
            "FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
            "GROUP BY 1, 2"
        ).fetchall()
        return {
            (schema, name): (columns, sorted(map(repr, connection.execute(f'SELECT * FROM "{schema}"."{name}"'))))
            for schema, name, columns in tables
        }


BUDGET = {("public", "budgets"), ("public", "budget_points"), ("public", "health"), ("public", "sync_health")}


class Scene:
    """A customer with a mapping; some of its records hold what does not fit."""

    def __init__(self, place, vendor, command_line):
        self.place, self.vendor, self.customer = place, vendor, CUSTOMER[vendor]
        schema = CUSTOM_SCHEMA | {"allow_additional_fields": True}
        place.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": schema}])
        (account,) = place.connect(self.customer)
        self.rules = account.meanings[OBJECT[vendor]]
        place.map(self.customer, vendor, "account", **self.rules)
        self.command_line = command_line.at(place)

    def alive(self):
        truth = self.place.control.truth(self.customer, OBJECT[self.vendor])
        return [entry["id"] for entry in truth if not entry["deleted"]]

    def write(self, id, **fields):
        self.place.control.record(self.customer, OBJECT[self.vendor], id=id, fields=fields)

    def json(self, *options):
        answer = self.command_line("preview", self.customer, "crm", "account", "--json", *options)
        assert answer.code == 0, answer.text
        return json.loads(answer.out)


@pytest.fixture
def scene(unhurried, vendor, command_line):
    return Scene(unhurried, vendor, command_line)


def told(record):
    return {field["column"]: field for field in record["fields"]}


@every_vendor
def test_what_is_shown_is_what_the_next_sync_stores(scene):
    shown = scene.json("--limit", "5")
    assert len(shown["records"]) == 5
    assert scene.place.sync_one(scene.customer).status == "success"
    rows = {row["id"]: row for row in scene.place.rows("crm_account")}
    for record in shown["records"]:
        row = rows[record["id"]]
        errors = row["_sync_errors"] or {}
        assert told(record).keys() == {name for name in row if not name.startswith("_sync_")} - {"raw_data"}
        for column, field in told(record).items():
            assert (field["problem"] is not None) == (column in errors)
            value = row[column]
            if isinstance(value, datetime):
                assert datetime.fromisoformat(field["after"]) == value
            elif field["type"] == "numeric" and value is not None:
                assert float(field["after"]) == float(value)
            elif field["type"] == "date" and value is not None:
                assert field["after"] == value.isoformat()
            else:
                assert field["after"] == value
    assert any(told(record)["tier"]["before"] for record in shown["records"])


@every_vendor
def test_a_misfit_and_hostile_values_are_shown_with_their_reason_and_steer_no_terminal(scene):
    first = scene.alive()[0]
    hostile = "\x1b]0;owned\x07'); DROP TABLE x; -- \u202e [red]" + "x" * 500
    scene.write(first, **{NAME[scene.vendor]: hostile, scene.rules["tier"]: "gold"})
    scene.place.map(scene.customer, scene.vendor, "account", **(scene.rules | {"renewal_date": NAME[scene.vendor]}))
    (record,) = scene.json("--record", first)["records"]
    assert told(record)["name"]["after"] == hostile
    field = told(record)["renewal_date"]
    assert (field["before"], field["after"]) == ({NAME[scene.vendor]: hostile}, None)
    assert field["problem"] == "The value is not an ISO 8601 date or time, nor epoch milliseconds."
    answer = scene.command_line("preview", scene.customer, "crm", "account", "--record", first)
    assert answer.code == 0
    assert "is not an ISO 8601 date" in answer.text
    assert "\x1b]" not in answer.out
    assert "\\x1b]0;owned" in answer.out
    assert "[red]" in answer.out
    assert "x" * 100 not in answer.out


@every_vendor
def test_nothing_is_written_but_the_calls_count_on_the_accounts_budget(scene):
    place = scene.place
    place.control.settings(scene.customer, private_app=True)
    place.sync_one(scene.customer)
    scene.write(scene.alive()[0], **{NAME[scene.vendor]: "Another name"})
    before = {"store": stored_in(place.store), "warehouse": stored_in(place.warehouse)}
    connection = place.project.store.connections.get(scene.customer, scene.vendor)
    budget = place.project.budgets_of([connection])[connection.id]
    asked = len(place.control.calls(scene.customer))
    shown = scene.json("--limit", "2")
    sent = [call for call in place.control.calls(scene.customer)[asked:] if not call["path"].endswith("/token")]
    after = {"store": stored_in(place.store), "warehouse": stored_in(place.warehouse)}
    assert after["warehouse"] == before["warehouse"]
    changed = {name for name in after["store"] if after["store"][name] != before["store"].get(name)}
    assert changed <= BUDGET
    assert 0 < shown["calls"] == len(sent) <= 4
    now = place.project.budgets_of([connection])[connection.id]
    assert now.calls == budget.calls + shown["calls"]
    assert now.used == budget.used + shown["calls"]


@every_vendor
def test_a_rule_is_tried_before_it_is_saved(scene):
    first = scene.alive()[0]
    scene.write(first, **{NAME[scene.vendor]: "Nord Metall"})
    versions = scene.place.project.store.mappings.history(scene.customer, scene.vendor, "account")
    shown = scene.json("--record", first, "--set", f"tier={NAME[scene.vendor]}", "--set", "renewal_date=Nowhere__c")
    (now,), (then,) = shown["saved"], shown["records"]
    assert told(then)["tier"]["after"] == "Nord Metall"
    assert told(now)["tier"]["sources"] == [scene.rules["tier"]]
    assert shown["missing"] == ["Nowhere__c"]
    assert told(then)["renewal_date"]["problem"] == "The account has no readable field Nowhere__c."
    assert scene.place.project.store.mappings.history(scene.customer, scene.vendor, "account") == versions
    rule = {"source": NAME[scene.vendor], "transform": {"name": "value_mapping", "values": {"Nord Metall": "gold"}}}
    (then,) = scene.json("--record", first, "--set", f"tier={json.dumps(rule)}")["records"]
    assert (told(then)["tier"]["after"], told(then)["tier"]["transforms"]) == ("gold", ["value_mapping"])
    assert told(then)["tier"]["before"] == {NAME[scene.vendor]: "Nord Metall"}
    answer = scene.command_line(
        "preview", scene.customer, "crm", "account", "--record", first, "--set", f"tier={NAME[scene.vendor]}"
    )
    assert "changes" in answer.text
    assert "Nothing was written." in answer.text
    more = {"source": NAME[scene.vendor], "transform": {"name": "custom", "expression": "upper(value)"}}
    extra = ("--set", f"loud={json.dumps(more)}", "--set", "lost=Nowhere__c")
    (then,) = scene.json("--record", first, *extra)["records"]
    parts = {part["column"]: part for part in told(then)["additional_fields"]["parts"]}
    assert (parts["loud"]["transforms"], parts["loud"]["after"]) == (["custom"], "NORD METALL")
    assert parts["lost"]["problem"] == "The account has no readable field Nowhere__c."
    answer = scene.command_line("preview", scene.customer, "crm", "account", "--record", first, *extra)
    assert "additional_fields.loud" in answer.text
    assert "additional_fields.lost" in answer.text
    assert "2 value(s) that do not fit" not in answer.text


@every_vendor
def test_one_record_is_shown_in_the_same_words_as_among_many_and_another_id_is_none(scene):
    many = {record["id"]: record for record in scene.json("--limit", "5")["records"]}
    for id, record in many.items():
        assert scene.json("--record", id)["records"] == [record]
    nobody = "001000000000000AAA" if scene.vendor == "salesforce" else "999999999"
    assert scene.json("--record", nobody)["records"] == []
    answer = scene.command_line("preview", scene.customer, "crm", "account", "--record", nobody)
    assert (answer.code, "There is no such record" in answer.text) == (0, True)


@every_vendor
def test_a_hostile_id_is_no_record(scene):
    for id in ("' OR Id != '", "../../oauth", "\x00", "ß" * 300, ""):
        answer = scene.command_line("preview", scene.customer, "crm", "account", "--record", id, "--json")
        assert answer.code == 2 or json.loads(answer.out)["records"] == []
    paths = [call["path"] for call in scene.place.control.calls(scene.customer)]
    assert not [path for path in paths if "oauth/" in path and "token" not in path]
    with scene.place.warehouse.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'crm'").fetchone() == (0,)


@every_vendor
def test_owners_and_users_can_be_looked_at_one_by_one(unhurried, vendor):
    unhurried.write_sync(provider=vendor, objects=["user"])
    unhurried.connect(CUSTOMER[vendor])
    some = preview(unhurried.project, "crm", "user", CUSTOMER[vendor], limit=2)
    one = preview(unhurried.project, "crm", "user", CUSTOMER[vendor], record=some.records[-1].id)
    assert one.records == some.records[-1:]
    assert preview(unhurried.project, "crm", "user", CUSTOMER[vendor], record="4711").records == []


def test_a_large_account_costs_one_page_and_no_bulk_job_whatever_the_filter(unhurried):
    nobody = {"object": "contact", "filter": {"field": "LastName", "is_not_set": True}}
    unhurried.write_sync(bulk_above=0, objects=[nobody])
    unhurried.connect(ACME)
    shown = preview(unhurried.project, "crm", "contact", ACME, limit=3)
    paths = [call["path"] for call in unhurried.control.calls(ACME)]
    assert (len(shown.records), shown.calls) == (3, 2)
    assert not [path for path in paths if "/jobs/" in path]
    assert "This sample is of all records" in shown.notices[0]
    assert {each.verdict.kept for each in shown.records} == {False}


@every_vendor
def test_each_record_says_whether_the_sync_would_copy_it_and_why_not(scene):
    place, tier, name = scene.place, scene.rules["tier"], NAME[scene.vendor]
    kept, other, empty, *_ = scene.alive()
    scene.write(kept, **{tier: "Gold", name: "Nord Metall"})
    scene.write(other, **{tier: "Silver", name: "Nord Holz"})
    scene.write(empty, **{tier: None, name: "Sued"})
    known = scene.place.project.sync("crm").objects[0].object
    chosen = {
        "all": [
            {"field": "tier", "in": ["gold", "platinum"]},
            {"any": [{"field": name, "contains": "nord"}, {"field": name, "is_not_set": True}]},
        ]
    }
    place.write_sync(
        provider=scene.vendor, objects=[{"object": known, "custom_schema": CUSTOM_SCHEMA, "filter": chosen}]
    )
    told = {id: scene.json("--record", id)["records"][0]["verdict"] for id in (kept, other, empty)}
    assert told[kept] == {"kept": True, "unmet": []}
    assert told[other]["unmet"] == [f'{tier} in "gold", "platinum" (it has "Silver")']
    assert told[empty]["unmet"] == [
        f'{tier} in "gold", "platinum" (it has no value)',
        f'{name} contains "nord" or {name} is not set',
    ]
    answer = scene.command_line("preview", scene.customer, "crm", "account", "--record", other)
    assert "is left out: it does not meet" in answer.text
    assert "0 of them chosen by the filter" in answer.text
    assert place.sync_one(scene.customer).status == "success"
    stored = {row["id"] for row in place.rows("crm_account")}
    page = preview(place.project, "crm", "account", scene.customer, limit=100)
    assert {each.id for each in page.records if each.verdict.kept} == stored
    assert page.notices[0].startswith("This sample is of all records")


def test_a_list_and_a_history_are_judged_and_a_filter_that_cannot_be_is_told(unhurried):
    place = unhurried
    place.connect(LUMEN)
    ids = [entry["id"] for entry in place.control.truth(LUMEN, "contacts") if not entry["deleted"]][:5]
    place.control.settings(LUMEN, lists={"12": ids[:2]})

    def judged(**choice):
        place.write_sync(provider="hubspot", objects=[{"object": "contact", **choice}])
        return preview(place.project, "crm", "contact", LUMEN, limit=5)

    shown = judged(filter={"list": "12"}, history="all")
    assert {each.id for each in shown.records if each.verdict.kept} == set(ids[:2])
    assert {each.verdict.unmet for each in shown.records if not each.verdict.kept} == {("in list 12",)}
    shown = judged(history="from now on")
    assert not any(each.verdict.kept for each in shown.records)
    assert shown.notices[1] == "The history is judged as if the sync began now."
    shown = judged(filter={"field": "nowhere", "is_set": True})
    assert [each.verdict for each in shown.records] == [None] * 5
    assert "A run would fail: The filter of contacts asks for the field nowhere" in shown.notices[0]


def test_an_account_that_is_left_alone_is_not_asked(unhurried, command_line):
    place = unhurried
    place.connect(ACME)
    until = datetime.now(UTC) + timedelta(hours=1)
    with place.store.connect() as connection:
        connection.execute(
            "INSERT INTO budgets (connection_id, held_until, held_reason) "
            "SELECT id, %s, 'Left alone.' FROM connections",
            [until],
        )
    answer = command_line.at(place)("preview", ACME, "crm", "contact")
    assert (answer.code, "Left alone." in answer.text) == (2, True)
    assert place.control.calls(ACME) == []


def test_an_expired_connection_and_one_that_is_not_there_say_what_to_do(unhurried, command_line):
    place = unhurried
    place.connect(ACME)
    place.control.revoke_tokens(ACME)
    run = command_line.at(place)
    assert "connect again" in run("preview", ACME, "crm", "contact").text
    assert "must reconnect" in run("preview", ACME, "crm", "contact").text
    answer = run("preview", BRIGHTWATER, "crm", "contact")
    assert (answer.code, "sync-pipelines connect salesforce" in answer.text) == (2, True)


def test_a_provider_stands_for_its_one_sync_with_the_object(unhurried):
    place = unhurried
    place.write_sync("crm", objects=["contact", "lead"])
    place.write_sync("other", objects=["Campaign", {"object": "lead", "table": "other_lead"}])
    assert find_sync(place.project, ACME, "salesforce", "Contacts") == "crm"
    assert find_sync(place.project, ACME, "salesforce", "campaign") == "other"
    assert find_sync(place.project, ACME, "other", "anything") == "other"
    for name, object_name, says in (
        ("salesforce", "lead", "is in the syncs crm, other: name one of them"),
        ("salesforce", "user", "No sync of salesforce has an object user"),
        ("nowhere", "user", "There is no sync and no provider named nowhere"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            find_sync(place.project, ACME, name, object_name)
