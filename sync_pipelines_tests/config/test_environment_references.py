"""`${NAME}` takes a value from the environment; no value ever shows in a message."""

import pytest

from sync_pipelines_tests.config.conftest import ENVIRON

DESTINATION = """\
name: warehouse
type: postgres
credentials:
  host: {host}
  port: {port}
  database: {database}
  user: {user}
  password: {password}
"""


def destination(**values):
    usual = {"host": "db", "port": "5432", "database": "crm", "user": "loader", "password": "${PASSWORD}"}
    return DESTINATION.format(**(usual | values))


def test_references_and_defaults_are_filled(project_folder):
    text = destination(host="${HOST:-localhost}", port="${PORT:-6543}", database="crm_${STAGE:-dev}_${STAGE}")
    project_folder.write({"destinations/warehouse.yaml": text})

    found = project_folder.load(ENVIRON | {"STAGE": "live"}).destinations["warehouse"]

    assert (found.host, found.port, found.database) == ("localhost", 6543, "crm_live_live")
    assert found.password.reveal() == "the-password"


def test_two_dollars_write_the_characters_themselves(project_folder):
    project_folder.write({"destinations/warehouse.yaml": destination(user="'a$${B}c$d'")})

    assert project_folder.load().destinations["warehouse"].user == "a${B}c$d"


def test_an_empty_default_leaves_an_optional_field_out(project_folder):
    text = "provider_name: salesforce\noauth: {client_id: a, client_secret: b}\nlogin_url: ${LOGIN_URL:-}\n"
    project_folder.write({"providers/salesforce.yaml": text})

    assert project_folder.load().providers["salesforce"].login_url is None
    filled = project_folder.load(ENVIRON | {"LOGIN_URL": "http://127.0.0.1:8080/login/"})
    assert filled.providers["salesforce"].login_url == "http://127.0.0.1:8080/login"


@pytest.mark.parametrize(
    ("environ", "state"), [({}, "is not set"), ({"WAREHOUSE_HOST": ""}, "is set but empty")], ids=["unset", "empty"]
)
def test_a_missing_variable_is_named_with_what_to_do(project_folder, environ, state):
    project_folder.write({"destinations/warehouse.yaml": destination(host="${WAREHOUSE_HOST}")})

    assert project_folder.problems(ENVIRON | environ) == [
        f"destinations/warehouse.yaml:4: credentials.host: the environment variable WAREHOUSE_HOST {state}: put "
        "WAREHOUSE_HOST=... into .env or the environment, or write ${WAREHOUSE_HOST:-default} here"
    ]


def test_a_missing_variable_is_told_once_although_its_field_needs_another_type(project_folder):
    project_folder.write({"destinations/warehouse.yaml": destination(port="${WAREHOUSE_PORT}")})

    (problem,) = project_folder.problems()

    assert "WAREHOUSE_PORT is not set" in problem


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("${", "has `${` without a name: write ${NAME} or ${NAME:-default}, or $${ for the characters ${"),
        ("${NOT A NAME}", "has `${` without a name: write ${NAME} or ${NAME:-default}, or $${ for the characters ${"),
        ("${CUSTOMER_ID}", "cannot hold ${CUSTOMER_ID}: only a destination's database, schema, prefix and folder can"),
    ],
)
def test_a_reference_that_means_nothing_is_told(project_folder, user, expected):
    project_folder.write({"destinations/warehouse.yaml": destination(user=f"'{user}'")})

    assert project_folder.problems() == [f"destinations/warehouse.yaml:7: credentials.user: {expected}"]


def test_names_are_written_out(project_folder):
    project_folder.write({"destinations/warehouse.yaml": destination().replace("name: warehouse", "name: ${PASSWORD}")})

    assert (
        "destinations/warehouse.yaml:1: name: is a name and cannot come from the environment: write it out instead of "
        "${PASSWORD}"
    ) in project_folder.problems()


def test_a_sync_may_choose_its_destination_by_environment(project_folder):
    text = "name: crm\nprovider: salesforce\ndestination: ${TARGET:-warehouse}\nobjects: [contact]\n"
    project_folder.write({"syncs/crm.yaml": text})

    assert project_folder.load().syncs["crm"].destination == "warehouse"
    assert project_folder.problems(ENVIRON | {"TARGET": "hush-hush"}) == [
        "syncs/crm.yaml:3: destination: no destination has the name (${TARGET:-warehouse}). Known: warehouse"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("destinations/warehouse.yaml", destination(port="${PASSWORD}")),
        ("destinations/warehouse.yaml", destination() + "connection_parameters: {sslmode: ['${PASSWORD}']}\n"),
        ("providers/salesforce.yaml", "provider_name: salesforce\nauth_type: ${PASSWORD}\n"),
        ("providers/salesforce.yaml", "provider_name: salesforce\nlogin_url: ${PASSWORD}\n"),
        (
            "syncs/crm.yaml",
            "name: crm\nprovider: ${PASSWORD}\ndestination: ${PASSWORD}\nstrategy: ${PASSWORD}\nmode: ${PASSWORD}\n"
            "schedule: {every: '${PASSWORD}', cron: '${PASSWORD}', timezone: '${PASSWORD}', type: '${PASSWORD}'}\n"
            "customers: ['${PASSWORD}/']\nbulk_above: ${PASSWORD}\noverlap: ${PASSWORD}\nobjects: [contact]\n",
        ),
        ("syncs/crm.yaml", "name: crm\nprovider: ${PASSWORD}\ndestination: ${PASSWORD}\nobjects: [contact]\n"),
        ("syncs/crm.yaml", "name: crm\nprovider_id: ${PASSWORD}\ndestination_id: ${PASSWORD}\nobjects: [contact]\n"),
    ],
)
def test_values_of_variables_never_show(project_folder, name, text):
    project_folder.write({name: text, "providers/other.yaml": "provider_name: hubspot\nauth_type: ${PASSWORD}\n"})

    shown = "\n".join(project_folder.problems())

    assert "not valid YAML" not in shown
    assert "the-password" not in shown


def test_secrets_do_not_show_in_what_was_loaded(project_folder):
    assert not [secret for secret in ("the-client-secret", "the-password") if secret in repr(project_folder.load())]
