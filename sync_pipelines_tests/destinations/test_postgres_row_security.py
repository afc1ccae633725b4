"""Row-level security with real roles: one that writes and owns the tables, one that reads and is bound."""

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import sql as quoted

from sync_pipelines.config import RowLevelSecurity
from sync_pipelines.destinations.postgres import ready
from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.destinations.postgres.row_security import refuse_views_of_old_servers
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.errors import DestinationError
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, PARTITIONED, ignore, load, row, rows, scope, stored

_numbers = count(1)
SETTING = "sync_pipelines.customer_id"
VIEWED = replace(CONTACTS, metadata_prefix="_supaglue_")


@pytest.fixture
def make_role(postgres_server):
    """Makes a role of the server each time it is called."""
    made = []
    with psycopg.connect(postgres_server.url(driver=None), autocommit=True) as connection:

        def make(name, options="LOGIN"):
            name = f"{name}_{next(_numbers)}"
            connection.execute(quoted.SQL("CREATE ROLE {} {}").format(quoted.Identifier(name), quoted.SQL(options)))
            made.append(name)
            return name

        yield make
    with psycopg.connect(postgres_server.url(driver=None), autocommit=True) as connection:
        for name in reversed(made):
            connection.execute(quoted.SQL("DROP ROLE {}").format(quoted.Identifier(name)))


@pytest.fixture
def database(make_role, make_database):
    """Made after the roles' fixture and so gone before it."""
    return make_database()


@pytest.fixture
def writer(make_role, database):
    name = make_role("writer")
    with database.connect() as connection:
        connection.execute(
            quoted.SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}").format(
                quoted.Identifier(database.name), quoted.Identifier(name)
            )
        )
    return name


@pytest.fixture(params=["reader", 'Reader "; DROP TABLE x; -- %s é'])
def reader(make_role, request, writer):
    return make_role(request.param)


@pytest.fixture
def plain_reader(make_role, writer):
    return make_role("reader")


@pytest.fixture
def written(open_again, writer):
    """Loads rows for a customer, as the writer, into a destination with these settings; gives the counts."""
    runs = count(1)

    def written(customer="acme", *found, security=None, table=CONTACTS, **changes):
        destination = open_again(customer, user=writer, row_level_security=security, **changes)
        with destination.open(scope(customer), table, f"run-{next(runs)}", ignore) as landing:
            return load(landing, list(found), landing.checkpoint or DONE, table=table) if found else None

    return written


@pytest.fixture
def seen(database):
    """What a role reads, by a session in which the setting has this value (None: it has none)."""

    def seen(role, customer=None, relation="crm.crm_contact", name=None, setting=SETTING):
        with psycopg.connect(
            host=database.host, port=database.port, dbname=name or database.name, user=role
        ) as session:
            if customer is not None:
                session.execute("SELECT set_config(%s, %s, false)", [setting, customer])
            return sorted(id for (id,) in session.execute(f"SELECT id FROM {relation}"))

    return seen


def test_each_session_sees_the_customer_that_it_names_and_without_one_nothing(written, reader, seen):
    security = RowLevelSecurity(role=reader)
    written("acme", *rows(1, 2), security=security)
    written("o'bolt \\ %s", *rows(3), security=security)
    assert seen(reader, "acme") == ["1", "2"]
    assert seen(reader, "o'bolt \\ %s") == ["3"]
    assert seen(reader, "corvo") == seen(reader, "") == seen(reader) == []


def test_a_setting_that_was_local_to_a_transaction_is_gone_after_it(written, plain_reader, database):
    written("acme", *rows(1), security=RowLevelSecurity(role=plain_reader))
    with psycopg.connect(host=database.host, dbname=database.name, user=plain_reader) as session:
        session.execute("SELECT set_config(%s, 'acme', true)", [SETTING])
        assert session.execute("SELECT count(*) FROM crm.crm_contact").fetchone() == (1,)
        session.commit()
        assert session.execute("SELECT count(*) FROM crm.crm_contact").fetchone() == (0,)


def test_the_writer_is_not_bound_and_its_plans_know_nothing_of_it(written, plain_reader, database, writer):
    security = RowLevelSecurity(role=plain_reader)
    assert written("acme", *rows(1, 2), security=security).created == 2
    changed = written("acme", row("1", minute=5, name="Bea"), row("2"), security=security)
    assert (changed.created, changed.updated, changed.unchanged) == (0, 1, 1)
    with psycopg.connect(host=database.host, dbname=database.name, user=writer) as session:
        plan = session.execute("EXPLAIN SELECT * FROM crm.crm_contact WHERE id = '1'").fetchall()
    assert "current_setting" not in str(plan)


def test_a_reader_may_only_read(written, plain_reader, database):
    written("acme", *rows(1), security=RowLevelSecurity(role=plain_reader))
    with psycopg.connect(host=database.host, dbname=database.name, user=plain_reader, autocommit=True) as session:
        session.execute("SELECT set_config(%s, 'acme', false)", [SETTING])
        for statement in (
            "DELETE FROM crm.crm_contact",
            "UPDATE crm.crm_contact SET id = '2'",
            "ALTER TABLE crm.crm_contact DISABLE ROW LEVEL SECURITY",
            "SELECT * FROM crm._sync_checkpoints",
            "SELECT * FROM crm._sync_seen",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)


def test_our_own_tables_show_nothing_though_everything_was_granted(written, plain_reader, seen, sql):
    written("acme", *rows(1), security=RowLevelSecurity(role=plain_reader))
    sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA crm TO {plain_reader}")
    assert seen(plain_reader, "acme", "(SELECT customer_id AS id FROM crm._sync_checkpoints) AS one") == []
    assert sql("SELECT count(*) FROM crm._sync_checkpoints") == [(1,)]


def test_tables_that_are_there_already_get_it_with_their_rows(written, reader, seen, sql):
    written("acme", *rows(1))
    written("bolt", *rows(2))
    sql(f"GRANT USAGE ON SCHEMA crm TO {quoted_name(reader)}")
    sql(f"GRANT SELECT ON crm.crm_contact TO {quoted_name(reader)}")
    assert seen(reader) == ["1", "2"]
    written("acme", security=RowLevelSecurity(role=reader))
    assert seen(reader) == []
    assert seen(reader, "bolt") == ["2"]


def quoted_name(name):
    return quoted.Identifier(name).as_string(None)


def test_what_is_as_it_should_be_is_left_alone(written, reader, sql, monkeypatch):
    monkeypatch.setattr(ready, "TRUSTED_SECONDS", 0)
    security = RowLevelSecurity(role=reader)
    written("acme", *rows(1), security=security)
    state = "SELECT p.oid, p.xmin::text, c.xmin::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
    before = sql(state)
    assert len(before) == 1
    written("acme", *rows(1), security=security)
    written("bolt", security=security)
    assert sql(state) == before


@pytest.mark.parametrize("setting", [SETTING, "app.customer"])
def test_everybody_who_reads_is_bound_where_no_role_is_named(written, make_role, seen, sql, setting):
    anybody = make_role("anybody")
    written("acme", *rows(1), security=RowLevelSecurity(setting=setting))
    sql(f"GRANT USAGE ON SCHEMA crm TO {anybody}")
    sql(f"GRANT SELECT ON crm.crm_contact TO {anybody}")
    assert seen(anybody, "acme", setting=setting) == ["1"]
    assert seen(anybody, "bolt", setting=setting) == seen(anybody) == []


def test_another_role_or_setting_makes_the_policy_anew(written, make_role, plain_reader, seen, sql):
    written("acme", *rows(1), security=RowLevelSecurity(role=plain_reader))
    other = make_role("other")
    written("acme", security=RowLevelSecurity(role=other))
    assert seen(other, "acme") == ["1"]
    assert seen(plain_reader, "acme") == []
    written("acme", security=RowLevelSecurity(role=other, setting="app.customer"))
    assert seen(other, "acme") == []
    assert seen(other, "acme", setting="app.customer") == ["1"]
    assert len(sql("SELECT polname FROM pg_policy")) == 1


def test_switched_off_only_our_policy_goes_and_nobody_sees_more_than_before(
    written, make_role, plain_reader, seen, sql
):
    written("acme", *rows(1, 2), security=RowLevelSecurity(role=plain_reader))
    analyst = make_role("analyst")
    sql(f"GRANT USAGE ON SCHEMA crm TO {analyst}")
    sql(f"GRANT SELECT ON crm.crm_contact TO {analyst}")
    sql(f"CREATE POLICY analysts ON crm.crm_contact TO {analyst} USING (id = '1')")
    assert written("acme", row("3"), security=None).created == 1
    assert sql("SELECT polname FROM pg_policy") == [("analysts",)]
    assert seen(plain_reader, "acme") == []
    assert seen(analyst) == ["1"]
    written("acme", security=RowLevelSecurity(role=plain_reader))
    assert seen(plain_reader, "acme") == ["1", "2", "3"]


def test_a_view_shows_no_more_than_its_table_also_when_it_grows(written, plain_reader, seen, sql):
    security = RowLevelSecurity(role=plain_reader)
    written("acme", *rows(1), table=VIEWED)
    written("bolt", *rows(2), table=VIEWED)
    written("acme", table=VIEWED, security=security)
    assert seen(plain_reader, "acme") == ["1"]
    grown = replace(VIEWED, columns=(*VIEWED.columns, Column("color", "text")))
    written("acme", table=grown, security=security)
    assert "color" in str(sql("SELECT attname FROM pg_attribute WHERE attrelid = 'crm.crm_contact'::regclass"))
    assert seen(plain_reader, "bolt") == ["2"]
    assert seen(plain_reader) == []
    larger = replace(grown, columns=(*grown.columns, Column("size", "text")))
    written("acme", table=larger)
    assert seen(plain_reader, "acme") == []


def test_a_new_view_is_bound_from_its_first_moment(written, plain_reader, seen):
    security = RowLevelSecurity(role=plain_reader)
    written("acme", *rows(1), table=VIEWED, security=security)
    assert seen(plain_reader, "acme") == ["1"]
    assert seen(plain_reader, "bolt") == []


def test_views_of_old_servers_are_refused():
    old = SimpleNamespace(info=SimpleNamespace(server_version=140_012))
    refuse_views_of_old_servers(old, Layout("crm", CONTACTS))
    with pytest.raises(DestinationError, match="Postgres 15"):
        refuse_views_of_old_servers(old, Layout("crm", VIEWED))


def test_schemas_of_customers_are_secured_each(written, reader, seen):
    security = RowLevelSecurity(role=reader)
    for customer, number in (("acme", 1), ("bolt", 2)):
        written(customer, *rows(number), security=security, schema_name="crm_${CUSTOMER_ID}")
    assert seen(reader, "acme", "crm_acme.crm_contact") == ["1"]
    assert seen(reader, "acme", "crm_bolt.crm_contact") == []


def test_databases_of_customers_are_secured_each(make_role, make_database, open_again, seen):
    reader, databases = make_role("reader"), [make_database(), make_database()]
    for number, one in enumerate(databases):
        destination = open_again("acme", database=one.name, row_level_security=RowLevelSecurity(role=reader))
        with destination.open(scope("acme"), CONTACTS, "run", ignore) as landing:
            load(landing, rows(number), DONE)
    assert [seen(reader, "acme", name=one.name) for one in databases] == [["0"], ["1"]]
    assert [seen(reader, "bolt", name=one.name) for one in databases] == [[], []]


def test_a_partitioned_table_is_bound_as_a_whole(written, plain_reader, seen, sql, writer):
    security = RowLevelSecurity(role=plain_reader)
    written("acme", *rows(1), security=security)
    sql(f"SET ROLE {writer}")
    sql(PARTITIONED)
    sql("RESET ROLE")
    written("bolt", *rows(2), security=security)
    assert seen(plain_reader, "acme") == ["1"]
    assert seen(plain_reader, "bolt") == ["2"]
    for partition in ("crm.crm_contact_0", "crm.crm_contact_1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            seen(plain_reader, "acme", partition)


def test_a_role_that_does_not_exist_is_told_before_a_row_is_written(written, sql):
    with pytest.raises(DestinationError, match=r'CREATE ROLE "no ""body"'):
        written("acme", *rows(1), security=RowLevelSecurity(role='no "body'))
    assert sql("SELECT count(*) FROM crm.crm_contact") == [(0,)]


def test_check_says_why_it_would_protect_nobody(open_again, writer, make_role, plain_reader):
    def checked(role):
        open_again(user=writer, row_level_security=RowLevelSecurity(role=role)).check()

    checked(plain_reader)
    checked(None)
    for role, reason in (
        ("nobody_of_that_name", "does not exist"),
        (make_role("above", "SUPERUSER"), "superuser"),
        (make_role("above", "BYPASSRLS"), "BYPASSRLS"),
        (make_role("deputy", f"IN ROLE {writer}"), "the owner"),
        (writer, "the owner"),
    ):
        with pytest.raises(DestinationError, match=reason):
            checked(role)


def test_check_wants_the_writer_to_own_its_tables(open_again, written, writer, plain_reader, sql):
    written("acme", *rows(1))
    sql("ALTER TABLE crm._sync_checkpoints OWNER TO current_user")
    with pytest.raises(DestinationError, match="does not own"):
        open_again(user=writer, row_level_security=RowLevelSecurity(role=plain_reader)).check()


def test_a_landing_shows_the_writer_every_row_of_its_customer(open_again, written, writer, plain_reader):
    security = RowLevelSecurity(role=plain_reader)
    written("acme", *rows(1, 2), security=security)
    with open_again(user=writer, row_level_security=security).open(scope(), CONTACTS, "last", ignore) as landing:
        assert sorted(stored(landing)) == ["1", "2"]
