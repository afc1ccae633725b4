"""What people write becomes the values that the rest works with."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from sync_pipelines.config import RowLevelSecurity, configuration_files, json_schema, load_configuration
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.mapping import CustomSchema, FieldRule, SchemaField
from sync_pipelines.model.sync import FULL_REFRESH, INCREMENTAL, Schedule, Sync, SyncObject
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.config.conftest import WORKING

EXAMPLE = Path(__file__).parents[2] / "syncs"
NEEDED = ("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET")
EXAMPLE_ENVIRON = dict.fromkeys((*NEEDED, "WAREHOUSE_USER"), "x")


def load_sync(project_folder, text):
    head = "name: crm\nprovider: salesforce\ndestination: warehouse\n"
    return project_folder.write({"syncs/crm.yaml": head + text}).load().syncs["crm"]


def test_a_sync_with_everything_written_out(project_folder):
    sync = load_sync(
        project_folder,
        """\
schedule: {cron: "0  5 * * 1-5", timezone: Europe/Paris}
strategy: full refresh
mode: mirror
full_refresh_every: 20
delete_brake: 0.25
overlap: 1h 30m
metadata_prefix: _supaglue_
bulk_above: 500
customers: [acme]
objects:
  - object: contact
    common_schema: false
    raw_fields: false
    strategy: incremental
    table: people
    custom_schema:
      version: 3
      allow_additional_fields: true
      fields:
        - name: annual_revenue
          type: number
          required: true
          description: Yearly
          locked: true
          sources: {salesforce: ARR__c}
        - tier
  - EmailTemplate
""",
    )

    assert sync == Sync(
        name="crm",
        provider="salesforce",
        destination="warehouse",
        schedule=Schedule(cron="0 5 * * 1-5", timezone="Europe/Paris"),
        strategy=FULL_REFRESH,
        mode="mirror",
        full_refresh_every=20,
        delete_brake=0.25,
        overlap=timedelta(minutes=90),
        metadata_prefix="_supaglue_",
        bulk_above=500,
        customers=("acme",),
        objects=(
            SyncObject(
                object="contact",
                common_schema=False,
                raw_fields=False,
                strategy=INCREMENTAL,
                table="people",
                custom_schema=CustomSchema(
                    version=3,
                    allow_additional_fields=True,
                    fields=(
                        SchemaField(
                            name="annual_revenue",
                            type="numeric",
                            required=True,
                            description="Yearly",
                            locked=True,
                            sources={"salesforce": FieldRule(sources=("ARR__c",))},
                        ),
                        SchemaField(name="tier"),
                    ),
                ),
            ),
            SyncObject(object="EmailTemplate"),
        ),
    )


def test_what_is_left_out_has_the_models_defaults(project_folder):
    assert load_sync(project_folder, "objects: [contact]\n") == Sync(
        name="crm", provider="salesforce", destination="warehouse", objects=(SyncObject(object="contact"),)
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hourly", Schedule(every=timedelta(hours=1))),
        ("daily", Schedule(every=timedelta(days=1))),
        ("weekly", Schedule(every=timedelta(weeks=1))),
        ("manual", Schedule()),
        ("{preset: Hourly}", Schedule(every=timedelta(hours=1))),
        ("{every: 15 minutes}", Schedule(every=timedelta(minutes=15))),
        ("{every: 90s}", Schedule(every=timedelta(seconds=90))),
        ("{every: 1 Day 2 hours}", Schedule(every=timedelta(hours=26))),
        ("{type: interval, interval_minutes: 60}", Schedule(every=timedelta(hours=1))),
        ("{type: cron, cron: '*/5 * * * *'}", Schedule(cron="*/5 * * * *")),
        ("{type: manual}", Schedule()),
        ("{cron: '0 0 * * sun'}", Schedule(cron="0 0 * * sun")),
        ("{every: 1 hour, spread: 5 minutes}", Schedule(every=timedelta(hours=1), spread=timedelta(minutes=5))),
        ("{preset: hourly, timezone: UTC}", Schedule(every=timedelta(hours=1))),
        ("{cron: '0 0 * mar FRI'}", Schedule(cron="0 0 * mar FRI")),
        ("{preset: daily, timezone: Europe/Paris}", Schedule(cron="0 0 * * *", timezone="Europe/Paris")),
        ("{preset: daily, at: '06:30'}", Schedule(cron="30 6 * * *")),
        ("{preset: weekly, at: 6:30, spread: 1h}", Schedule(cron="30 6 * * 1", spread=timedelta(hours=1))),
    ],
)
def test_schedules(project_folder, written, meant):
    assert load_sync(project_folder, f"schedule: {written}\nobjects: [contact]\n").schedule == meant


def test_freshness_is_of_a_sync_of_an_object_and_of_a_customer(project_folder):
    loaded = load_sync(
        project_folder,
        "schedule: hourly\nfreshness: 2 hours\n"
        "objects: [contact, {object: account, freshness: 1 day, associations: [contact]}]\n"
        "overrides:\n"
        "  acme: {schedule: daily, freshness: 30 hours, objects: [account]}\n"
        "  globex: {schedule: manual}\n"
        "  initech: {schema: initech}\n",
    )
    by_name = {each.object: each for each in loaded.objects}
    assert sorted(by_name) == ["account", "account.associations", "contact"]
    found = {
        customer: [loaded.freshness_of(customer, by_name[name]) for name in sorted(by_name)]
        for customer in ("acme", "globex", "initech", "hooli")
    }
    hours = [timedelta(hours=24), timedelta(hours=24), timedelta(hours=2)]
    assert found == {"acme": [timedelta(hours=30)] * 3, "globex": [None] * 3, "initech": hours, "hooli": hours}
    assert loaded.objectives_of(by_name["contact"]) == (timedelta(hours=2),)
    assert loaded.objectives_of(by_name["account"]) == (timedelta(hours=24), timedelta(hours=30))


def test_one_customer_may_have_its_own_schedule_objects_and_schema(project_folder):
    loaded = load_sync(
        project_folder,
        "schedule: hourly\nobjects: [contact, account]\nfreshness: 2 hours\n"
        "overrides:\n"
        "  acme: {schedule: daily, objects: [contact], schema: acme_only}\n"
        "  globex: {schedule: manual}\n",
    )
    assert loaded.freshness == timedelta(hours=2)
    assert loaded.schedule_of("acme") == Schedule(every=timedelta(days=1))
    assert loaded.schedule_of("globex") == Schedule()
    assert loaded.schedule_of("initech") == Schedule(every=timedelta(hours=1))
    assert [each.object for each in loaded.objects_of("acme")] == ["contact"]
    assert [each.object for each in loaded.objects_of("globex")] == ["contact", "account"]
    assert loaded.overrides["acme"].schema == "acme_only"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("full refresh", FULL_REFRESH),
        ("Full Only", FULL_REFRESH),
        ("incremental", INCREMENTAL),
        ("full then incremental", INCREMENTAL),
    ],
)
def test_strategies_and_their_other_names(project_folder, written, meant):
    assert load_sync(project_folder, f"strategy: {written}\nobjects: [contact]\n").strategy == meant


@pytest.mark.parametrize("written", ["upsert", "mirror", "append", "Upsert", "Mirror", "Append", "APPEND"])
def test_modes_as_they_are_printed(project_folder, written):
    assert load_sync(project_folder, f"mode: {written}\nobjects: [contact]\n").mode == written.lower()


def test_a_source_written_for_the_vendor_counts_for_its_provider_of_another_name(project_folder):
    project_folder.write({"providers/salesforce.yaml": "name: eu\n" + WORKING["providers/salesforce.yaml"]})
    schema = "custom_schema: {fields: [{name: tier, sources: {salesforce: Tier__c}}]}"
    text = f"name: crm\nprovider: eu\ndestination: warehouse\nobjects: [{{object: contact, {schema}}}]\n"

    sync = project_folder.write({"syncs/crm.yaml": text}).load().syncs["crm"]

    assert sync.objects[0].custom_schema.fields[0].sources["eu"] == FieldRule(sources=("Tier__c",))


def test_words_that_older_yaml_takes_for_something_else_stay_texts(project_folder):
    fields = "[{name: no, description: on}, {name: 'yes', description: 12:30}, {name: y, description: 2026-01-31}]"

    sync = load_sync(project_folder, f"objects: [{{object: contact, custom_schema: {{fields: {fields}}}}}]\n")

    found = [(field.name, field.description) for field in sync.objects[0].custom_schema.fields]
    assert found == [("no", "on"), ("yes", "12:30"), ("y", "2026-01-31")]


def test_anchors_and_merges_spare_writing_a_schema_twice(project_folder):
    sync = load_sync(
        project_folder,
        """\
objects:
  - object: contact
    custom_schema: &schema
      version: 2
      fields: [tier]
  - object: account
    custom_schema:
      <<: *schema
      version: 3
""",
    )

    contact, account = sync.objects
    assert account.custom_schema.fields == contact.custom_schema.fields
    assert (contact.custom_schema.version, account.custom_schema.version) == (2, 3)


def test_one_file_may_hold_several_documents(project_folder):
    text = WORKING["syncs/crm.yaml"]
    second = text.replace("name: crm", "name: leads").replace("[contact]", "[lead]")
    project_folder.write({"syncs/crm.yaml": f"# two syncs\n---\n{text}---\n{second}---\n# nothing more\n"})

    assert list(project_folder.load().syncs) == ["crm", "leads"]


def test_problems_of_a_later_document_have_the_files_lines(project_folder):
    project_folder.write({"syncs/crm.yaml": f"{WORKING['syncs/crm.yaml']}---\nname: two\nmode: truncate\n"})

    problem = 'syncs/crm.yaml:8: mode: "truncate" is not known here. Known: append, mirror, upsert'
    assert problem in project_folder.problems()


def test_json_with_tabs_and_escapes_is_json(project_folder):
    document = {"name": "crm", "provider": "salesforce", "destination": "warehouse"}
    document["objects"] = [{"object": "contact", "custom_schema": {"fields": [{"name": "a", "description": "😀 / é"}]}}]
    text = json.dumps(document, indent="\t").replace("/", "\\/")
    project_folder.write({"syncs/crm.yaml": None, "syncs/deep/er/crm.json": text})

    (field,) = project_folder.load().syncs["crm"].objects[0].custom_schema.fields

    assert field.description == "😀 / é"


def test_a_connections_own_urls_win_over_the_providers(project_folder):
    text = WORKING["providers/salesforce.yaml"] + "login_url: http://127.0.0.1:1/login\napi_url: http://127.0.0.1:1\n"
    provider = project_folder.write({"providers/salesforce.yaml": text}).load().providers["salesforce"]

    placed = provider.placed(Connection(id=1, customer_id="acme", provider="salesforce", api_url="https://own.example"))

    assert (placed.login_url, placed.api_url) == ("http://127.0.0.1:1/login", "https://own.example")


def test_the_example_project_loads_without_a_warning():
    configuration = load_configuration(EXAMPLE, EXAMPLE_ENVIRON, providers=PROVIDERS)

    assert configuration.warnings == ()
    assert set(configuration.providers) == {"salesforce", "hubspot"}
    assert len(configuration.syncs) >= 3
    assert len(configuration_files(EXAMPLE)) == len(configuration.syncs) + 3


def test_the_example_project_says_which_variables_it_needs():
    with pytest.raises(Exception, match="SALESFORCE_CLIENT_ID is not set") as caught:
        load_configuration(EXAMPLE, {}, providers=PROVIDERS)

    assert len(caught.value.problems) == len(EXAMPLE_ENVIRON)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None),
        ("row_level_security: false", None),
        ("row_level_security: true", RowLevelSecurity()),
        ("row_level_security: {}", RowLevelSecurity()),
        ("row_level_security: {role: app}", RowLevelSecurity(role="app", setting="sync_pipelines.customer_id")),
        (
            "row_level_security: {role: app, setting: app.customer}",
            RowLevelSecurity(role="app", setting="app.customer"),
        ),
    ],
)
def test_row_level_security_is_off_unless_asked_for(project_folder, written, meant):
    text = WORKING["destinations/warehouse.yaml"] + written
    loaded = project_folder.write({"destinations/warehouse.yaml": text}).load()

    assert loaded.destinations["warehouse"].row_level_security == meant


def test_editors_know_row_level_security():
    schema = json_schema("destinations")

    assert "row_level_security" in schema["$defs"]["PostgresDestinationDocument"]["properties"]
    assert set(schema["$defs"]["RowLevelSecurityDocument"]["properties"]) == {"role", "setting"}


@pytest.mark.parametrize("kind", ["providers", "destinations", "syncs"])
def test_json_schemas_for_editors(kind):
    schema = json.loads(json.dumps(json_schema(kind)))

    kinds = [schema["$defs"][each["$ref"].split("/")[-1]] for each in schema.get("oneOf", ())] or [schema]
    assert len(kinds) == (2 if kind == "destinations" else 1)
    for each in kinds:
        assert each["additionalProperties"] is False
        assert all(name in each["properties"] for name in ("id", "name"))


def test_editors_take_rules_and_fields_in_every_form():
    rules = ["Tier__c", {"source": "Tier__c"}, {"sources": ["A", "B"], "transform": "concatenate"}]
    rules += [{"source": "A", "transform": form} for form in ({"name": "mask", "keep": 2}, ["mask", {"name": "none"}])]
    fields = ["tier", *({"name": f"field_{at}", "sources": {"hubspot": rule}} for at, rule in enumerate(rules))]
    document = {"name": "crm", "objects": [{"object": "contact", "custom_schema": {"version": 1, "fields": fields}}]}

    jsonschema.validate(document, json_schema("syncs"))

    for wrong in (7, {"sauce": "A"}, {"source": "A", "transform": 3}):
        document["objects"][0]["custom_schema"]["fields"] = [{"name": "tier", "sources": {"hubspot": wrong}}]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, json_schema("syncs"))
