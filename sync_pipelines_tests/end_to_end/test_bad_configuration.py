"""What people write wrongly: `check` tells file, line, field and fix with exit code 2, and runs say the same."""

import pytest
import yaml

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.config.conftest import ENVIRON, ProjectFolder
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN

SYNC = "name: crm\nprovider: salesforce\ndestination: warehouse\nschedule: hourly\n"
SECOND = SYNC.replace("crm", "second")


@pytest.fixture
def project_folder(tmp_path, command_line):
    command_line.set(SYNC_PIPELINES_SYNCS_DIR=tmp_path / "syncs", **ENVIRON)
    return ProjectFolder(tmp_path / "syncs")


def test_a_configuration_that_is_right_is_shown_and_ends_with_0(project_folder, command_line):
    answer = command_line("check")
    assert (answer.code, answer.err) == (0, "")
    assert "The configuration is right." in answer.text
    assert "crm salesforce warehouse contact crm_contact incremental" in answer.text


BROKEN = {
    "broken YAML": ("syncs/crm.yaml", f"{SYNC}objects: [contact\nmode: upsert\n", "syncs/crm.yaml:6:5: not valid YAML"),
    "a tab": ("syncs/crm.yaml", "name: crm\n\tprovider: x\n", "syncs/crm.yaml:2:1: not valid YAML"),
    "broken JSON": ("syncs/crm.json", '{\n  "name": "x",\n}', "syncs/crm.json:3:1: not valid JSON"),
    "a misspelled key": (
        "syncs/crm.yaml",
        f"{SYNC}objcts: [contact]\n",
        'syncs/crm.yaml:5: objcts: is not known here. Did you mean "objects"?',
    ),
    "a key that is missing": ("syncs/crm.yaml", SYNC, "syncs/crm.yaml:1: objects: is missing: add it"),
    "an unknown provider": (
        "syncs/crm.yaml",
        f"{SYNC}objects: [contact]\n".replace("salesforce", "salesfroce"),
        'syncs/crm.yaml:2: provider: no provider has the name "salesfroce". Did you mean "salesforce"?',
    ),
    "an unknown vendor": (
        "providers/pipe.yaml",
        "provider_name: pipedrive\noauth: {client_id: a, client_secret: b}\n",
        'providers/pipe.yaml:1: provider_name: there is no provider "pipedrive". Known: hubspot, salesforce',
    ),
    "an unknown API version": (
        "providers/hub.yaml",
        "provider_name: hubspot\napi_version: v9\noauth: {client_id: a, client_secret: b}\n",
        "providers/hub.yaml:2: api_version",
    ),
    "an unknown destination": (
        "syncs/crm.yaml",
        f"{SYNC}objects: [contact]\n".replace("warehouse", "warehose"),
        'syncs/crm.yaml:3: destination: no destination has the name "warehose". Did you mean "warehouse"?',
    ),
    "an environment variable that is not set": (
        "destinations/warehouse.yaml",
        "name: warehouse\ntype: postgres\ncredentials:\n  host: ${NO_SUCH_HOST}\n  database: d\n  user: u\n",
        "destinations/warehouse.yaml:4: credentials.host: the environment variable NO_SUCH_HOST is not set: put "
        "NO_SUCH_HOST=... into .env or the environment",
    ),
    "a number that is a text": (
        "destinations/warehouse.yaml",
        "name: warehouse\ntype: postgres\ncredentials:\n  host: h\n  port: five\n  database: d\n  user: u\n",
        "destinations/warehouse.yaml:5: credentials.port: must be a whole number",
    ),
    "a list that is a text": (
        "syncs/crm.yaml",
        f"{SYNC}objects: contact\n",
        "syncs/crm.yaml:5: objects: must be a list",
    ),
    "a share above one": (
        "syncs/crm.yaml",
        f"{SYNC}delete_brake: 50\nobjects: [contact]\n",
        "syncs/crm.yaml:5: delete_brake: ",
    ),
    "two objects of one sync that write the same rows": (
        "syncs/crm.yaml",
        f"{SYNC}objects:\n  - contact\n  - Contacts\n",
        'syncs/crm.yaml:7: objects[1]: writes the same rows of table "crm_contact" as crm, contact',
    ),
    "two syncs that write the same rows": (
        "syncs/second.yaml",
        f"{SECOND}objects:\n  - Contact\n",
        'syncs/second.yaml:6: objects[0]: writes the same rows of table "crm_contact" as crm, contact',
    ),
    "a name that can be no object": (
        "syncs/crm.yaml",
        f"{SYNC}objects:\n  - contact\n  - 'Robert); DROP TABLE x'\n",
        "syncs/crm.yaml:7: objects[1]",
    ),
    "two fields that become one column": (
        "syncs/crm.yaml",
        f"{SYNC}objects:\n  - object: contact\n    custom_schema:\n      fields:\n        - Tier\n        - tier\n",
        'syncs/crm.yaml:10: objects[0].custom_schema.fields[1].name: becomes the column "tier", as "Tier" does: '
        "give it another name",
    ),
    "a reserved name": (
        "syncs/crm.yaml",
        f"{SYNC}objects:\n  - object: contact\n    custom_schema:\n      fields:\n        - _sync_id\n",
        "names that begin with _sync_ are reserved: choose another name",
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_told_with_its_place_and_ends_with_2(project_folder, command_line, mistake):
    file, text, expected = BROKEN[mistake]
    project_folder.write({file: text})
    answer = command_line("check")
    assert answer.code == 2
    assert expected in answer.text
    assert "Traceback" not in answer.text
    assert answer.out == "", "nothing but the problems is printed"
    assert "the-client-secret" not in answer.text


def test_all_mistakes_of_all_files_are_told_at_once(project_folder, command_line):
    project_folder.write(
        {
            "syncs/crm.yaml": f"{SYNC}objcts: [contact]\n",
            "syncs/second.yaml": "name: second\n\tprovider: x\n",
            "destinations/warehouse.yaml": "name: warehouse\ntype: postgres\n",
            "providers/salesforce.yaml": "provider_name: salesforce\noauth: {client_id: ${NOT_SET}}\n",
        }
    )
    answer = command_line("check")
    assert answer.code == 2
    for file in ("syncs/crm.yaml:5", "syncs/second.yaml:2:1", "destinations/warehouse.yaml:1", "providers/salesforce"):
        assert file in answer.text


def test_every_verb_refuses_a_broken_configuration_the_same_way(project_folder, command_line):
    project_folder.write({"syncs/crm.yaml": SYNC})
    for verb in ("sync crm", "runs", "connections", "trigger crm", "mapping show acme salesforce", "migrate"):
        answer = command_line(*verb.split())
        assert answer.code == 2
        assert "syncs/crm.yaml:1: objects: is missing: add it" in answer.text


def test_a_folder_that_is_not_there_is_told_with_the_variable_that_names_it(command_line, tmp_path):
    command_line.set(SYNC_PIPELINES_SYNCS_DIR=tmp_path / "nowhere")
    answer = command_line("check")
    assert answer.code == 2
    assert "nowhere: there is no such folder: set SYNC_PIPELINES_SYNCS_DIR to yours" in answer.text


def test_settings_that_are_wrong_are_told_without_a_trace(project_folder, command_line):
    command_line.set(SYNC_PIPELINES_CONNECTIONS_AT_ONCE="many")
    answer = command_line("check")
    assert answer.code == 2
    assert "SYNC_PIPELINES_CONNECTIONS_AT_ONCE" in answer.text
    assert "Traceback" not in answer.text


def test_the_development_key_is_refused_outside_development(project_folder, command_line):
    command_line.set(SYNC_PIPELINES_ENCRYPTION_KEYS=DEVELOPMENT_KEY)
    answer = command_line("check")
    assert answer.code == 2
    assert "make one with `sync-pipelines key new`" in answer.text
    assert DEVELOPMENT_KEY not in answer.text
    assert "Traceback" not in answer.text


def test_outside_development_only_a_made_key_seals_and_any_key_opens(project_folder, command_line):
    made = command_line("key", "new").out.strip()
    for first in ("replace-me", "x", made[:-2], f"{made}A", "a passphrase that somebody thought of, " + made):
        command_line.set(SYNC_PIPELINES_ENCRYPTION_KEYS=first)
        answer = command_line("check")
        assert (answer.code, "is none that `sync-pipelines key new` made" in answer.text) == (2, True), first
        assert first not in answer.text
        assert command_line("key", "new").code == 0, "the way out works"
    command_line.set(SYNC_PIPELINES_ENCRYPTION_KEYS=f"{made},replace-me")
    assert "key new" not in command_line("check").text
    command_line.set(SYNC_PIPELINES_ENCRYPTION_KEYS="any-key", SYNC_PIPELINES_ENVIRONMENT="development")
    assert "key new" not in command_line("check").text


def test_warnings_are_shown_and_stop_nothing(project_folder, command_line):
    project_folder.write(
        {
            "stray.yaml": "a: 1\n",
            "syncs/crm.yaml": f"{SYNC}objects: [contact]\n".replace("hourly", "{every: 5 seconds}"),
        }
    )
    answer = command_line("check")
    assert answer.code == 0
    assert "stray.yaml is not read: move it into providers, destinations, syncs" in answer.text
    assert "it runs every 60 seconds" in answer.text


def test_a_store_that_is_missing_or_not_there_is_told(project_folder, command_line):
    answer = command_line("connections")
    assert (answer.code, "No encryption key is set" in answer.text or "No store is set" in answer.text) == (2, True)
    command_line.set(SYNC_PIPELINES_STORE_URL="mysql://user:the-store-password@host/store")
    command_line.set(SYNC_PIPELINES_ENVIRONMENT="development", SYNC_PIPELINES_ENCRYPTION_KEYS="any-key-at-all-will-do")
    answer = command_line("connections")
    assert answer.code == 2
    assert "SYNC_PIPELINES_STORE_URL is not a Postgres URL" in answer.text
    command_line.set(SYNC_PIPELINES_STORE_URL="postgresql://user:the-store-password@127.0.0.1:1/store")
    for verb in (["connections"], ["runs"], ["sync", "crm"], ["check", "--live"], ["migrate"]):
        answer = command_line(*verb)
        assert answer.code == 2, verb
        assert "cannot be reached" in answer.text
        assert "the-store-password" not in answer.text


def test_a_store_without_tables_is_told_with_the_verb_that_makes_them(place, make_database, command_line):
    command_line.at(place).set(SYNC_PIPELINES_STORE_URL=make_database().url())
    for verb in (["connections"], ["runs"], ["sync", "crm"], ["check", "--live"], ["trigger", "crm"]):
        answer = command_line(*verb)
        assert answer.code == 2, verb
        assert "sync-pipelines migrate" in answer.text


@pytest.mark.parametrize(
    ("vendor", "customer", "unknown"),
    [("salesforce", ACME, "Employe__c"), ("hubspot", LUMEN, "p4410101_truck")],
)
def test_an_object_that_the_account_does_not_have_is_told_live_and_at_the_run(
    place, command_line, vendor, customer, unknown
):
    place.write_sync(provider=vendor, objects=["contact", unknown])
    place.connect(customer)
    command_line.at(place)
    assert command_line("check").code == 0, "only the account can tell"
    live = command_line("check", "--live")
    assert live.code == 2
    assert f"crm, {customer}, {unknown}: " in live.text
    assert unknown in live.text.partition(f"{unknown}: ")[2]
    ran = command_line("sync", "crm")
    assert "skipped (not_found)" in ran.text
    assert unknown in ran.text


def test_a_mapped_field_that_the_account_does_not_have_is_refused_with_a_suggestion(place, command_line):
    place.write_sync(objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    place.connect(ACME)
    command_line.at(place)
    answer = command_line("mapping", "set", ACME, "salesforce", "account", "tier=Teir__c")
    assert answer.code == 2
    assert "The account has no readable field Teir__c (for tier). Did you mean Tier__c" in answer.text
    assert place.project.store.mappings.current(ACME, "salesforce", "account") is None, "nothing was saved"


def test_a_mapped_field_that_vanished_is_told_live(place, command_line):
    place.write_sync(objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    place.connect(ACME, BRIGHTWATER)
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    command_line.at(place)
    assert command_line("check", "--live").code == 0
    place.control.fault(ACME, "field_vanished", object="Account", field="Tier__c")
    answer = command_line("check", "--live")
    assert answer.code == 2
    assert f"crm, {ACME}, account: The account has no readable field Tier__c (for tier)" in answer.text
    assert BRIGHTWATER not in answer.text


def test_live_problems_of_every_kind_are_told_together(place, command_line):
    file = place.folder / "destinations" / "warehouse.yaml"
    document = yaml.safe_load(file.read_text())
    place.write_sync(objects=["contact"])
    place.connect(ACME, BRIGHTWATER)
    place.control.revoke_tokens(ACME)
    document["credentials"]["port"] = 1
    file.write_text(yaml.safe_dump(document))
    answer = command_line.at(place)("check", "--live")
    assert answer.code == 2
    assert "cannot be reached: check that it runs, and host, port" in answer.text
    assert f"crm, {ACME}, contact: Salesforce has withdrawn our access: the customer must connect again" in answer.text
    assert f"crm, {BRIGHTWATER}, contact" not in answer.text


def test_two_providers_of_one_vendor_keep_one_customers_accounts_apart(place, command_line):
    """A customer may have two organisations: each is a provider of its own name, and its rows are under that name."""
    document = yaml.safe_load((place.folder / "providers" / "salesforce.yaml").read_text())
    (place.folder / "providers" / "second.yaml").write_text(yaml.safe_dump({**document, "name": "salesforce-emea"}))
    schema = {"version": 1, "fields": [{"name": "tier", "sources": {"salesforce": "Tier__c"}}]}
    place.write_sync(objects=["account"])
    place.write_sync(name="emea", provider="salesforce-emea", objects=[{"object": "account", "custom_schema": schema}])
    for provider, customer in (("salesforce", BRIGHTWATER), ("salesforce-emea", ACME)):
        account = place.control.account(customer)
        place.project.store.connections.connect(
            customer_id="one-customer",
            provider=provider,
            environment=account.environment,
            tokens=Tokens(access_token=Secret(account.access_token), refresh_token=Secret(account.refresh_token)),
            api_url=account.api_url,
        )
    for name in ("crm", "emea"):
        assert place.sync_one("one-customer", name=name, full=True).status == "success"
    found = {(row["_sync_provider_name"], row["id"]): row["tier"] for row in place.rows("crm_account")}
    assert {key: tier for key, tier in found.items() if key[0] == "salesforce"} == {
        ("salesforce", entry["id"]): None for entry in place.control.truth(BRIGHTWATER, "Account")
    }
    assert {key: tier for key, tier in found.items() if key[0] != "salesforce"} == {
        ("salesforce-emea", entry["id"]): entry["fields"]["Tier__c"] for entry in place.control.truth(ACME, "Account")
    }
    names, sample = place.project.sample("emea", "account", "one-customer")
    assert {row[names.index("_sync_provider_name")] for row in sample} == {"salesforce-emea"}
    assert {run.provider for run in place.project.store.runs.list(sync="emea")} == {"salesforce-emea"}
