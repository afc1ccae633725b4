"""Postgres: what tables, columns and views look like, and what happens when something else is in their place."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from psycopg.sql import SQL

from sync_pipelines.destinations.postgres import failed, ready
from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.model.common_model import COMMON_COLUMNS, Column
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError, DestinationBusy, DestinationError
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, ignore, load, row, rows, scope, stored

PRINTED = """
_supaglue_application_id String
_supaglue_customer_id String
_supaglue_provider_name String
_supaglue_emitted_at Timestamp
account_id String
addresses json
created_at Timestamp
email_addresses json
first_name String
id String
is_deleted Boolean
last_activity_at Timestamp
last_modified_at Timestamp
last_name String
lifecycle_stage String
owner_id String
phone_numbers json
raw_data json
updated_at Timestamp
"""
"""The Contact table as the managed-syncs document prints it."""

WORDS = {"String": "text", "Timestamp": "timestamp with time zone", "json": "jsonb", "Boolean": "boolean"}

COMMON_CONTACT = Table(
    name="crm_contact",
    columns=tuple(sorted((*COMMON_COLUMNS["contact"], Column("raw_data", "jsonb")), key=lambda column: column.name)),
    metadata_prefix="_supaglue_",
)

METADATA = [
    ("_sync_application_id", "text"),
    ("_sync_customer_id", "text"),
    ("_sync_provider_name", "text"),
    ("_sync_emitted_at", "timestamp with time zone"),
    ("_sync_run_id", "text"),
    ("_sync_hash", "bigint"),
    ("_sync_errors", "jsonb"),
    ("_sync_merged_into", "text"),
]


HOSTILE_NAMES = [
    'quo"ted',
    "semi;colon'); DROP TABLE x; --",
    "per%cent %s %(id)s",
    "curly {braces} {0}",
    "back\\slash",
    "Größe Ω 名前 🙂",
    "select",
    "UPPER lower",
    "  blanks  ",
    "x" * 63,
    "ü" * 31,
]


def columns(sql, name):
    return sql(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'crm' AND table_name = %s"
        " ORDER BY ordinal_position",
        name,
    )


def opened(destination, table, run_id="run-1"):
    with destination.open(scope(), table, run_id, ignore) as landing:
        return landing


def with_column(*added, **changes):
    return replace(CONTACTS, columns=(*CONTACTS.columns, *added), **changes)


def blank(table, **values):
    """A row of any table with nothing but the values that are named."""
    return (1, None, None, *(values.get(column.name) for column in table.columns))


def test_metadata_columns_come_first_and_the_key_says_whose_row_it_is(destination, sql):
    opened(destination, CONTACTS)
    assert columns(sql, "crm_contact") == [
        *METADATA,
        ("id", "text"),
        ("is_deleted", "boolean"),
        ("last_modified_at", "timestamp with time zone"),
        ("first_name", "text"),
        ("amount", "numeric"),
        ("raw_data", "jsonb"),
    ]
    keys = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass"
    assert sql(keys, "crm.crm_contact") == [
        ("PRIMARY KEY (_sync_application_id, _sync_provider_name, _sync_customer_id, id)",)
    ]
    assert sql("SELECT col_description('crm.crm_contact'::regclass, 14)") == [("as the vendor gave it",)]


def test_finding_values_that_did_not_fit_reads_no_row_that_has_none(destination, database, sql):
    opened(destination, CONTACTS)
    sql(
        "INSERT INTO crm.crm_contact"
        " (_sync_application_id, _sync_provider_name, _sync_customer_id, _sync_emitted_at, id, _sync_errors)"
        " SELECT 'app', 'hubspot', 'acme', now(), n::text,"
        """ CASE WHEN n %% 5000 = 0 THEN '{"amount": {"field": "a", "value": "x", "reason": "no number"}}'::jsonb END"""
        " FROM generate_series(1, 20000) n WHERE %s",
        True,
    )
    sql("ANALYZE crm.crm_contact")
    found = destination.failed([scope()], CONTACTS)
    assert [value.id for value in found] == ["10000", "15000", "20000", "5000"]
    ((index,),) = sql(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'crm_contact' AND indexdef LIKE %s", "%WHERE%"
    )
    for asked in (failed._PAGE, failed._COUNTS):
        with database.connect() as connection:
            parts = {"behind": SQL("")} if asked is failed._PAGE else {}
            plan = failed._asked(
                connection, Layout("crm", CONTACTS), [scope()], f"EXPLAIN {asked}", {"limit": 100}, **parts
            )
        assert index in str(plan)


def test_with_the_products_prefix_the_printed_contact_table_comes_out_column_for_column(destination, sql):
    with destination.open(scope(), COMMON_CONTACT, "run-1", ignore) as landing:
        load(landing, [blank(COMMON_CONTACT, id="1", first_name="Ann", is_deleted=False)], DONE, table=COMMON_CONTACT)
        names, found = landing.sample(5)
    printed = [tuple(line.split()) for line in PRINTED.strip().splitlines()]
    assert columns(sql, "crm_contact") == [(name, WORDS[word]) for name, word in printed]
    assert names == [name for name, _ in printed]
    assert dict(zip(names, found[0], strict=True))["first_name"] == "Ann"
    assert sql("SELECT _supaglue_customer_id, id FROM crm.crm_contact") == [("acme", "1")]


def test_the_view_grows_at_its_end_and_what_others_built_on_it_lives_on(destination, sql):
    opened(destination, COMMON_CONTACT)
    sql("CREATE VIEW public.report AS SELECT first_name FROM crm.crm_contact")
    wider = replace(COMMON_CONTACT, columns=(Column("aaa_first", "text"), *COMMON_CONTACT.columns))
    with destination.open(scope(), wider, "run-2", ignore) as landing:
        load(landing, [blank(wider, id="1", aaa_first="x", first_name="Ann")], DONE)
    assert columns(sql, "crm_contact")[-1] == ("aaa_first", "text")
    assert sql("SELECT * FROM public.report") == [("Ann",)]


def test_opening_a_table_that_is_ready_takes_no_lock_and_writes_nothing(destination, sql):
    opened(destination, COMMON_CONTACT)
    before = sql("SELECT pg_current_wal_lsn()")
    with destination.open(scope(), COMMON_CONTACT, "run-2", ignore):
        held = sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert held == [(0,)]
    assert sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", before[0][0])[0][0] < 200


@pytest.mark.parametrize("statement", ["TYPE varchar(20)", "TYPE double precision USING amount::float"])
def test_a_type_that_is_none_of_ours_is_refused_with_what_to_do(destination, sql, statement):
    opened(destination, with_column(Column("tier", "text")))
    column = "amount" if "amount" in statement else "tier"
    sql(f"ALTER TABLE crm.crm_contact ALTER COLUMN {column} {statement}")
    with pytest.raises(DestinationError) as refused:
        opened(destination, with_column(Column("tier", "text")), "run-2")
    for part in (column, "crm.crm_contact", "rename or drop", "_sync_hash"):
        assert part in str(refused.value)


@pytest.mark.parametrize("column", ["_sync_run_id", "is_deleted"])
def test_columns_that_keeping_rows_needs_are_never_moved(destination, sql, column):
    opened(destination, CONTACTS)
    sql(f"ALTER TABLE crm.crm_contact ALTER COLUMN {column} TYPE jsonb USING to_jsonb({column})")
    with pytest.raises(DestinationError, match="cannot be moved"):
        opened(destination, CONTACTS, "run-2")


def fill(destination, kind, value, prefix="_sync_", name="tier"):
    """The table with a column of this type and one row in it; what the landing then says was made anew."""
    table = with_column(Column(name, kind), metadata_prefix=prefix)
    with destination.open(scope(), table, f"run {kind} {value}", ignore) as landing:
        load(landing, [(*row("1", name=kind, minute=1), value)], DONE)
        return landing.remade.get(name)


@pytest.mark.parametrize("prefix", ["_sync_", "_supaglue_"])
def test_a_column_that_becomes_another_type_keeps_what_it_held_beside_the_new_one(destination, sql, prefix):
    numbers = [fill(destination, "text", "gold", prefix)]
    sql("CREATE VIEW public.report AS SELECT tier FROM crm.crm_contact")
    numbers.append(fill(destination, "numeric", Decimal(3), prefix))
    assert sql("SELECT tier, tier__was_text FROM crm.crm_contact") == [(3, "gold")]
    numbers.append(fill(destination, "date", date(2026, 1, 2), prefix))
    held = [(date(2026, 1, 2), "gold", 3)]
    assert sql("SELECT tier, tier__was_text, tier__was_numeric FROM crm.crm_contact") == held
    # A type that comes back takes its own column back, so that there is one for each type at most.
    numbers.append(fill(destination, "text", "silver", prefix))
    held = [("silver", 3, date(2026, 1, 2))]
    assert sql("SELECT tier, tier__was_numeric, tier__was_date FROM crm.crm_contact") == held
    names = [name for name, _ in columns(sql, "crm_contact")]
    assert [name for name in names if name.startswith("tier__was")] == ["tier__was_numeric", "tier__was_date"]
    assert numbers[0] is None
    assert len(set(numbers)) == len(numbers)
    assert sql("SELECT * FROM public.report") == [("silver",)]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_columns_with_hostile_names_move_aside_whole(destination, sql, name):
    fill(destination, "text", "gold", name=name)
    fill(destination, "numeric", Decimal(3), name=name)
    (moved,) = [found for found, _ in columns(sql, "crm_contact") if found.endswith("__was_text")]
    with destination.open(scope(), with_column(Column(name, "numeric")), "run", ignore) as landing:
        entry = stored(landing)["1"]
        assert (entry[name], entry[moved]) == (3, "gold")


def test_long_names_that_begin_alike_move_to_names_of_their_own(destination, sql):
    names = ["x" * 62 + "a", "x" * 62 + "b"]
    for kind, values in (("text", ("gold", "silver")), ("numeric", (Decimal(3), Decimal(4)))):
        table = with_column(*(Column(name, kind) for name in names))
        with destination.open(scope(), table, "run", ignore) as landing:
            load(landing, [(*row("1", name=kind, minute=1), *values)], DONE)
    moved = [found for found, _ in columns(sql, "crm_contact") if found.endswith("__was_text")]
    assert len(set(moved)) == len(moved) == 2
    (held,) = sql(f'SELECT "{moved[0]}", "{moved[1]}" FROM crm.crm_contact')
    assert sorted(held) == ["gold", "silver"]


def test_other_customers_of_the_table_keep_their_old_values_and_hear_of_it(destination, open_again, sql):
    other = open_again("umbrella")
    text = with_column(Column("tier", "text"))
    with other.open(scope("umbrella"), text, "run-1", ignore) as landing:
        load(landing, [(*row("1"), "bronze")], DONE)
    fill(destination, "text", "gold")
    fill(destination, "numeric", Decimal(3))
    with other.open(scope("umbrella"), with_column(Column("tier", "numeric")), "run-2", ignore) as landing:
        assert landing.remade == {"tier": len(METADATA) + len(text.columns) + 1}
        assert stored(landing)["1"]["tier"] is None
        assert stored(landing)["1"]["tier__was_text"] == "bronze"


def test_a_writer_with_the_old_type_is_told_to_try_again(destination):
    old = with_column(Column("tier", "text"))
    with destination.open(scope(), old, "run-1", ignore) as landing:
        load(landing, [(*row("1"), "gold")], DONE)
        opened(destination, with_column(Column("tier", "numeric")))
        for changed in ([(*row("2"), "new")], [(*row("1", minute=1), "changed")]):
            with pytest.raises(DestinationBusy, match="tried again"):
                load(landing, changed, DONE)


def test_whole_numbers_are_widened_to_numbers_with_a_fraction(destination):
    with destination.open(scope(), with_column(Column("seats", "bigint")), "run-1", ignore) as landing:
        load(landing, [(*row("1"), 7)], DONE)
    with destination.open(scope(), with_column(Column("seats", "numeric")), "run-2", ignore) as landing:
        load(landing, [(*row("2"), Decimal("7.5"))], DONE)
        assert {id: entry["seats"] for id, entry in stored(landing).items()} == {"1": 7, "2": Decimal("7.5")}
    with destination.open(scope(), with_column(Column("seats", "bigint")), "run-3", ignore) as landing:
        load(landing, [(*row("1", name="Bea"), 8)], DONE)
        load(landing, [(*row("3"), 9)], DONE)
        assert {id: entry["seats"] for id, entry in stored(landing).items()} == {"1": 8, "2": Decimal("7.5"), "3": 9}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE crm.crm_contact (id text PRIMARY KEY)",
        "CREATE TABLE crm.crm_contact (id text, email text)",
        "CREATE VIEW crm.crm_contact AS SELECT 1 AS id",
        "CREATE SEQUENCE crm.crm_contact",
        "CREATE TABLE crm.crm_contact (id int) PARTITION BY RANGE (id)",
    ],
)
@pytest.mark.parametrize("table", [CONTACTS, replace(CONTACTS, metadata_prefix="_supaglue_")])
def test_something_else_of_that_name_is_left_alone(destination, sql, statement, table):
    sql("CREATE SCHEMA crm")
    sql(statement)
    with pytest.raises(DestinationError, match=r"crm\.crm_contact exists already .*rename"):
        opened(destination, table)
    assert len(sql("SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relname ~ '^_sync'")) == 0


def test_changing_the_prefix_of_a_table_is_refused(destination):
    opened(destination, CONTACTS)
    with pytest.raises(DestinationError, match="exists already"):
        opened(destination, replace(CONTACTS, metadata_prefix="_supaglue_"))


def test_columns_that_people_added_are_left_alone(destination, sql):
    opened(destination, CONTACTS)
    sql("ALTER TABLE crm.crm_contact ADD COLUMN note text DEFAULT 'mine'")
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        load(landing, rows(1), DONE)
        sql("UPDATE crm.crm_contact SET note = 'edited'")
        load(landing, [row("1", name="Bea", minute=1)], DONE)
        assert stored(landing)["1"]["note"] == "edited"


@pytest.mark.parametrize("prefix", ["_sync_", "_supaglue_"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_of_tables_and_columns_are_only_names(destination, name, prefix):
    table = with_column(Column(name, "text", name), name=name, metadata_prefix=prefix)
    with destination.open(scope(), table, "run-1", ignore) as landing:
        load(landing, [(*row("1"), "one")], DONE)
        load(landing, [(*row("1", minute=1), "two"), (*row("2"), "new")], DONE, merged=[("2", "1")])
        assert {id: entry[name] for id, entry in stored(landing).items()} == {"1": "two", "2": "new"}
        load(landing, [], replace(DONE, reading=None))


@pytest.mark.parametrize("schema", HOSTILE_NAMES)
def test_hostile_names_of_schemas_are_only_names(open_again, schema):
    destination = open_again(schema_name=schema)
    destination.check()
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        assert sorted(stored(landing)) == ["1"]


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "nul\0", "\ud800"])
def test_names_that_postgres_would_cut_or_cannot_store_are_refused(destination, name):
    with pytest.raises(DestinationError, match="name"):
        opened(destination, with_column(Column(name, "text")))
    with pytest.raises(DestinationError, match="name"):
        opened(destination, replace(CONTACTS, name=name))


@pytest.mark.parametrize("name", ["_sync_hash", "id"])
def test_two_columns_of_one_name_are_refused(destination, name):
    with pytest.raises(DestinationError, match=name):
        opened(destination, with_column(Column(name, "text")))


def test_a_column_named_like_one_of_the_system_is_refused(destination):
    with pytest.raises(DestinationError, match="ctid"):
        opened(destination, with_column(Column("ctid", "text")))


def test_tables_of_our_own_cannot_be_taken_for_an_object(destination):
    with pytest.raises(DestinationError, match="reserved"):
        opened(destination, replace(CONTACTS, name="_sync_checkpoints"))


VALUES = {
    "text": [
        "",
        " ",
        'it\'s "quoted" \\back\\ $1 %s {}',
        "tab\tnew\nline\r\x01",
        "ünï 名前 🙂 \u202e",
        "x" * 1_000_000,
        "\\N",
    ],
    "numeric": [
        Decimal("0"),
        Decimal("-0.00"),
        Decimal("0.000000000000000000000000001"),
        Decimal("123456789012345678901234567890.123456789"),
        Decimal("1E+300"),
        Decimal("-9" * 1),
        Decimal("9" * 200),
    ],
    "bigint": [0, -1, 2**63 - 1, -(2**63)],
    "boolean": [True, False],
    "timestamptz": [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime.fromisoformat("2026-03-29T02:30:00.000001+05:45"),
    ],
    "date": [date(1, 1, 1), date(9999, 12, 31), date(1999, 12, 31), date(2000, 1, 1)],
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_at_their_extremes_come_back_as_they_were(destination, kind):
    table = with_column(Column("value", kind))
    for round in ("new", "changed"):
        with destination.open(scope(), table, "run-1", ignore) as landing:
            load(landing, [(*row(str(n), name=round), value) for n, value in enumerate([*VALUES[kind], None])], DONE)
            found = {int(id): entry["value"] for id, entry in stored(landing).items()}
            assert [found[n] for n in range(len(found))] == [*VALUES[kind], None]


def test_json_comes_back_as_it_was(destination):
    text = '{"a": [1, 2.50, 1e2, null, true, {"ü\\"": "x\\\\y \\ud83d\\ude42"}], "b": 12345678901234567890.123}'
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(
            landing,
            [row("1", raw=text.encode()), row("2", raw=b"null"), row("3", raw=b'"' + b"x" * 10**6 + b'"')],
            DONE,
        )
        found = stored(landing)
    assert found["1"]["raw_data"]["a"][5] == {'ü"': "x\\y 🙂"}
    assert found["2"]["raw_data"] is None
    assert len(found["3"]["raw_data"]) == 10**6


HOSTILE_IDS = [
    'a"b',
    "a\\b",
    "{1,2}",
    "NULL",
    "null",
    "",
    " ",
    ",",
    "a,b",
    "ü🙂",
    "'; DROP TABLE x; --",
    "\n",
    "0" * 500,
]


def test_hostile_ids_are_only_ids(destination):
    with destination.open(scope("cus\"to\\mer'"), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(*HOSTILE_IDS), DONE)
        assert load(landing, rows(*HOSTILE_IDS), DONE).unchanged == len(HOSTILE_IDS)
        changed = [row(id, minute=1, name="Bea") for id in HOSTILE_IDS]
        assert load(landing, changed, DONE).updated == len(HOSTILE_IDS)
        assert {entry["first_name"] for entry in stored(landing).values()} == {"Bea"}
        pairs = [(id, "survivor") for id in HOSTILE_IDS]
        assert load(landing, [], DONE, merged=pairs).updated == len(HOSTILE_IDS)


@pytest.mark.parametrize(
    "values", [{"name": "nul\0"}, {"name": "\ud800"}, {"raw": b'{"a": "\\u0000"}'}, {"raw": b"{"}, {"raw": b'"\xff"'}]
)
def test_what_postgres_cannot_store_is_refused_and_nothing_is_half_written(destination, values):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        for chunk in ([row("0"), row("2", **values)], [row("1", minute=1, **values)]):
            with pytest.raises(DestinationError, match="cannot be stored"):
                load(landing, chunk, DONE)
        assert sorted(stored(landing)) == ["1"]
        assert landing.checkpoint.version == 1


def test_schema_and_database_are_filled_with_the_customers_id(open_again, database, make_database, sql):
    other = make_database()
    sql(f'ALTER DATABASE {other.name} RENAME TO "db of acme"')
    try:
        destination = open_again(database="db of ${CUSTOMER_ID}", schema_name="of_${CUSTOMER_ID}")
        with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
            load(landing, rows(1), DONE)
        destination.close()
    finally:
        sql(f'ALTER DATABASE "db of acme" RENAME TO {other.name}')
    with other.connect() as connection:
        assert connection.execute("SELECT id FROM of_acme.crm_contact").fetchall() == [("1",)]


def test_a_customer_whose_name_makes_the_schema_too_long_is_refused(open_again):
    with pytest.raises(DestinationError, match="schema name"):
        open_again("c" * 60, schema_name="of_${CUSTOMER_ID}_x")


def test_an_unknown_type_of_destination_is_refused(open_again):
    with pytest.raises(ConfigurationError, match="Known are: postgres, s3"):
        open_again(type="tape")


def test_a_column_that_is_widened_while_a_landing_is_open_is_noticed_before_anything_is_written(destination):
    narrow, wide = with_column(Column("seats", "bigint")), with_column(Column("seats", "numeric"))
    with destination.open(scope(), narrow, "run-1", ignore) as landing:
        load(landing, [(*row("1"), 7)], DONE)
        opened(destination, wide)
        with pytest.raises(DestinationBusy, match="changed during the sync"):
            load(landing, [(*row("2"), 8)], DONE)
        assert load(landing, [(*row("1", minute=1), 9)], DONE).updated == 1
    with destination.open(scope(), narrow, "run-2", ignore) as landing:
        load(landing, [(*row("2"), 8)], DONE)
        assert {id: entry["seats"] for id, entry in stored(landing).items()} == {"1": 9, "2": 8}


def test_a_table_behind_a_view_can_be_partitioned_and_the_next_sync_makes_the_view_again(destination, sql):
    entry = blank(COMMON_CONTACT, id="1", first_name="Ann", is_deleted=False)
    with destination.open(scope(), COMMON_CONTACT, "run-1", ignore) as landing:
        load(landing, [entry], DONE, table=COMMON_CONTACT)
    sql("DROP VIEW crm.crm_contact")
    sql("ALTER TABLE crm._sync_crm_contact RENAME TO whole")
    sql("CREATE TABLE crm._sync_crm_contact (LIKE crm.whole INCLUDING ALL) PARTITION BY HASH (_supaglue_customer_id)")
    for part in (0, 1):
        sql(
            f"CREATE TABLE crm.part_{part} PARTITION OF crm._sync_crm_contact "
            f"FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
        )
    sql("INSERT INTO crm._sync_crm_contact SELECT * FROM crm.whole")
    sql("DROP TABLE crm.whole")
    with destination.open(scope(), COMMON_CONTACT, "run-2", ignore) as landing:
        assert load(landing, [entry], DONE, table=COMMON_CONTACT).unchanged == 1
    assert sql("SELECT id, first_name FROM crm.crm_contact") == [("1", "Ann")]


def open_once(destination, customer, run_id, table=CONTACTS):
    with destination.open(scope(customer), table, run_id, ignore):
        pass


def test_a_run_looks_at_a_table_once_and_the_next_run_again(open_again, sql):
    destination, other = open_again(), open_again("globex")
    open_once(destination, "acme", "run-1")
    sql("ALTER TABLE crm.crm_contact DROP COLUMN first_name")
    open_once(other, "globex", "run-1")
    assert "first_name" not in columns_of(sql)
    open_once(other, "globex", "run-2")
    assert "first_name" in columns_of(sql)


def test_a_table_is_looked_at_again_after_an_error(open_again, sql):
    destination = open_again()
    open_once(destination, "acme", "run-1")
    sql("ALTER TABLE crm.crm_contact DROP COLUMN first_name")
    with pytest.raises(ZeroDivisionError), destination.open(scope(), CONTACTS, "run-1", ignore):
        raise ZeroDivisionError
    open_once(destination, "acme", "run-1")
    assert "first_name" in columns_of(sql)


def test_a_table_is_looked_at_again_after_a_while(open_again, sql, monkeypatch):
    monkeypatch.setattr(ready, "TRUSTED_SECONDS", 0.0)
    destination = open_again()
    open_once(destination, "acme", "run-1")
    sql("ALTER TABLE crm.crm_contact DROP COLUMN first_name")
    open_once(destination, "acme", "run-1")
    assert "first_name" in columns_of(sql)


def columns_of(sql):
    return [name for (name,) in sql("SELECT attname FROM pg_attribute WHERE attrelid = 'crm.crm_contact'::regclass")]
