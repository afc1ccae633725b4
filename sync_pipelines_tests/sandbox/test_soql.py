"""SOQL is understood as the vendor understands it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_pipelines.sandbox import soql
from sync_pipelines.sandbox.clock import salesforce_iso
from sync_pipelines.sandbox.cutting import decode
from sync_pipelines.sandbox.soql import Among, Both, Compare, Day, Either, Moment, Not, Order
from sync_pipelines.sandbox.soql_sql import to_sql
from sync_pipelines.sandbox.world import Recipe, World


def test_a_whole_query_is_read():
    query = soql.read(
        "select Id, Name , My_Field__c from Contact where (Name = 'O\\'Neil' and Age__c >= 1.5) or "
        "not Deleted__c = true order by SystemModstamp desc nulls first, Id limit 10 offset 5"
    )
    assert query.fields == ("Id", "Name", "My_Field__c")
    assert query.object == "Contact"
    assert query.where == Either(
        (
            Both((Compare("Name", "=", "O'Neil"), Compare("Age__c", ">=", 1.5))),
            Not(Compare("Deleted__c", "=", True)),
        )
    )
    assert query.order == (Order("SystemModstamp", True, False), Order("Id"))
    assert (query.limit, query.offset) == (10, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-05-01T07:25:37Z", Moment(1_777_620_337_000)),
        ("2026-05-01T07:25:37.000+0000", Moment(1_777_620_337_000)),
        ("2026-05-01T09:25:37+02:00", Moment(1_777_620_337_000)),
        ("2026-05-01", Day("2026-05-01")),
        ("null", None),
        ("-3", -3),
        ("1e3", 1000.0),
        ("'a\\nb'", "a\nb"),
        ("''", ""),
    ],
)
def test_literals(text, value):
    assert soql.read(f"SELECT Id FROM X WHERE F = {text}").where == Compare("F", "=", value)


def test_lists_and_patterns():
    assert soql.read("SELECT Id FROM X WHERE F NOT IN ('a', null)").where == Among("F", ("a", None), True)
    assert soql.read("SELECT Id FROM X WHERE F LIKE 'a%'").where == Compare("F", "LIKE", "a%")


def test_count_has_no_fields():
    query = soql.read("SELECT COUNT() FROM Contact")
    assert query.count
    assert query.fields == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT FROM Contact",
        "SELECT Id Name FROM Contact",
        "SELECT Id FROM Contact WHERE",
        "SELECT Id FROM Contact WHERE Name",
        "SELECT Id FROM Contact WHERE Name = ",
        "SELECT Id FROM Contact WHERE Name = 'open",
        "SELECT Id FROM Contact WHERE A = 1 AND B = 2 OR C = 3",
        "SELECT Id FROM Contact WHERE (A = 1",
        "SELECT Id FROM Contact ORDER Id",
        "SELECT Id FROM Contact LIMIT many",
        "SELECT Id FROM Contact WHERE A = 1 nonsense",
        "SELECT COUNT(Id) FROM Contact",
    ],
)
def test_nonsense_is_malformed(text):
    with pytest.raises(soql.SoqlError) as caught:
        soql.read(text)
    assert caught.value.code == "MALFORMED_QUERY"


FIELDS = {
    "Title": st.sampled_from(["CTO", "cto", "Buyer", "VP Sales", "zzz"]),
    "ARR__c": st.sampled_from([0, 1_000_000, 2_500_000.5, 4_000_000]),
    "HasOptedOutOfEmail": st.booleans(),
    "Renewal_Date__c": st.sampled_from(["2026-01-01", "2026-10-01", "2027-03-01"]).map(Day),
    "SystemModstamp": st.integers(1_700_000_000, 1_790_000_000).map(lambda second: Moment(second * 1000)),
    "Id": st.integers(0, 400).map(lambda n: f"#{n}"),
}
ORDERED = ("=", "!=", "<", "<=", ">", ">=")


@st.composite
def comparisons(draw):
    field = draw(st.sampled_from(sorted(FIELDS)))
    if draw(st.booleans()) and field not in ("HasOptedOutOfEmail", "Id"):
        if draw(st.booleans()):
            return Among(field, tuple(draw(st.lists(FIELDS[field], min_size=1, max_size=3))), draw(st.booleans()))
        return Compare(field, draw(st.sampled_from(("=", "!="))), None)
    operators = ("=", "!=") if field == "HasOptedOutOfEmail" else ORDERED
    return Compare(field, draw(st.sampled_from(operators)), draw(FIELDS[field]))


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Both(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)


def written(condition):
    """The condition as SOQL text."""
    match condition:
        case Both(parts):
            return "(" + " AND ".join(written(part) for part in parts) + ")"
        case Either(parts):
            return "(" + " OR ".join(written(part) for part in parts) + ")"
        case Not(inner):
            return f"(NOT {written(inner)})"
        case Among(field, values, negated):
            return f"{field} {'NOT ' if negated else ''}IN ({', '.join(literal(value) for value in values)})"
        case Compare(field, operator, value):
            return f"{field} {operator} {literal(value)}"


def literal(value):
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Moment(ms):
            return salesforce_iso(ms)
        case Day(text):
            return text
        case str():
            return f"'{value}'"
        case _:
            return str(value)


def holds(condition, record):
    """What the vendor would say, worked out on the record's values in Python."""
    match condition:
        case Both(parts):
            return all(holds(part, record) for part in parts)
        case Either(parts):
            return any(holds(part, record) for part in parts)
        case Not(inner):
            return not holds(inner, record)
        case Among(field, values, negated):
            found = any(holds(Compare(field, "=", value), record) for value in values)
            return not found if negated else found
    value, wanted = record[condition.field], condition.value
    if isinstance(wanted, Moment):
        wanted = salesforce_iso(wanted.ms)
    elif isinstance(wanted, Day):
        wanted = wanted.text
    elif isinstance(wanted, str) and condition.field != "Id":
        value, wanted = value and value.lower(), wanted.lower()
    if condition.operator == "=":
        return value == wanted
    if condition.operator == "!=":
        return value != wanted
    if value is None:
        return False
    return {"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[condition.operator]


@pytest.fixture(scope="module")
def made():
    world = World(None, Recipe(seed=3, epoch=1_790_000_000_000, sizes={"acme-robotics": {"User": 3, "Contact": 400}}))
    account = world.accounts["acme-robotics"]
    records = [decode(row.body) for row in world.storage.walk(account.tables["Contact"])]
    yield world, account, records
    world.close()


def with_real_ids(condition, records):
    match condition:
        case Both(parts):
            return Both(tuple(with_real_ids(part, records) for part in parts))
        case Either(parts):
            return Either(tuple(with_real_ids(part, records) for part in parts))
        case Not(inner):
            return Not(with_real_ids(inner, records))
        case Compare("Id", operator, str() as value):
            return Compare("Id", operator, records[int(value[1:]) % len(records)]["Id"])
    return condition


@settings(max_examples=300, deadline=None)
@given(condition=CONDITIONS, deleted_too=st.booleans())
def test_any_condition_selects_what_python_selects(made, condition, deleted_too):
    world, account, records = made
    condition = with_real_ids(condition, records)
    query = soql.read(f"SELECT Id FROM Contact WHERE {written(condition)} ORDER BY SystemModstamp DESC, Id")
    spec = account.objects["Contact"]
    sql = to_sql(account, spec, query, deleted_too=deleted_too)
    keys = world.storage.keys(account.tables["Contact"], sql.rest, sql.parameters)
    expected = [record for record in records if (deleted_too or not record["IsDeleted"]) and holds(condition, record)]
    expected.sort(key=lambda record: record["Id"])
    expected.sort(key=lambda record: record["SystemModstamp"], reverse=True)
    assert [account.id_of_key(spec, key) for key in keys] == [record["Id"] for record in expected]
