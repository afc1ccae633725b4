"""The comparison finds one wrong value in any column, a record too much and a record too few."""

import msgspec
import pytest

from benchmarks.compare import Different, Landed, compare, write_expected
from benchmarks.fields import ARRAYS, COLUMNS, TYPED
from benchmarks.records import hubspot_record

SIZE = 240
WRONG = {
    "text": "'wrong'",
    "numeric": "-1.5",
    "bigint": "-1",
    "boolean": "NOT coalesce({name}, false)",
    "date": "'1999-12-31'",
    "timestamptz": "'1999-12-31 00:00+00'",
    "jsonb": "'[1]'",
}


class OfTheTest:
    """A test's database with the two calls that the comparison needs."""

    def __init__(self, database):
        self.connect = database.connect

    def execute(self, statement, *values):
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def put_records(postgres, version):
    """The vendor's own JSON, where the expected tables hold it in the form that is compared."""
    with postgres.connect() as connection, connection.cursor() as cursor:
        records = [hubspot_record(n, version) for n in range(SIZE) if version == 0 or n % 100 == 37]
        cursor.executemany(
            "UPDATE tool.contacts SET raw_data = %s WHERE id = %s",
            [(msgspec.json.encode(record).decode(), record["id"]) for record in records],
        )


@pytest.fixture
def postgres(make_database):
    postgres = OfTheTest(make_database())
    write_expected(postgres, ["hubspot"], SIZE)
    postgres.execute("CREATE SCHEMA tool")
    postgres.execute("CREATE TABLE tool.contacts AS SELECT * FROM expected.hubspot_0")
    postgres.execute("ALTER TABLE tool.contacts DROP COLUMN n, ADD PRIMARY KEY (id)")
    put_records(postgres, 0)
    return postgres


def test_what_was_asked_for(postgres):
    assert len(TYPED) == 18
    assert len(ARRAYS) == 3
    assert compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE) == []


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("id", "raw_data")])
def test_one_wrong_value(postgres, name):
    wrong = WRONG[COLUMNS[name]].format(name=name)
    postgres.execute(f"UPDATE tool.contacts SET {name} = {wrong} WHERE id = '10000051'")
    with pytest.raises(Different, match=f"record 10000051, {name}: expected "):
        compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE)


@pytest.mark.parametrize("path", ["{properties,city}", "{associations,companies}", "{archived}"])
def test_one_wrong_value_deep_in_the_record(postgres, path):
    postgres.execute("UPDATE tool.contacts SET raw_data = jsonb_set(raw_data, %s, '\"x\"') WHERE id = '10000051'", path)
    with pytest.raises(Different, match="record 10000051, raw_data: expected "):
        compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE)


def test_too_few_and_too_many(postgres):
    postgres.execute("DELETE FROM tool.contacts WHERE id = '10000051'")
    with pytest.raises(Different, match="record 10000051 is missing"):
        compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE)
    postgres.execute("UPDATE tool.contacts SET id = '1' WHERE id = '10000052'")
    with pytest.raises(Different, match="record 1 is too much"):
        compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE)


def test_what_changed_is_expected_after_a_change(postgres):
    with pytest.raises(Different, match="first_name"):
        compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE, changed=True)
    names = ", ".join(COLUMNS)
    postgres.execute("DELETE FROM tool.contacts WHERE id::bigint % 100 = 37")
    postgres.execute(f"INSERT INTO tool.contacts ({names}) SELECT {names} FROM expected.hubspot_1")
    put_records(postgres, 1)
    assert compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE, changed=True) == []


def test_other_types_are_cast_and_told(postgres):
    postgres.execute("ALTER TABLE tool.contacts ALTER raw_data TYPE json, DROP CONSTRAINT contacts_pkey")
    postgres.execute("ALTER TABLE tool.contacts ALTER created_at TYPE timestamp USING created_at AT TIME ZONE 'UTC'")
    notes = compare(postgres, "tool", Landed("tool"), "hubspot", size=SIZE)
    assert notes == ["no time zone: created_at", "json: raw_data", "no primary key"]
