"""Every mistake is told as file, line, field and what to do; all of them at once."""

import pytest

from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.config.conftest import ENVIRON, WORKING

SYNC = "name: crm\nprovider: salesforce\ndestination: warehouse\n"
HUBSPOT = "provider_name: hubspot\noauth: {client_id: a, client_secret: b}\n"
SCHEMA = SYNC + "objects:\n  - object: contact\n    custom_schema:\n      version: 1\n      fields:\n"


def sync(extra="", objects="objects: [contact]"):
    return f"{SYNC}{extra}\n{objects}\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "syncs/crm.yaml",
            "name: crm\nobjects: [contact\nschedule: hourly\n",
            "syncs/crm.yaml:3:9: not valid YAML: while parsing a flow sequence; expected ',' or ']', but got ':'",
        ),
        (
            "syncs/crm.yaml",
            "name: crm\n provider: salesforce\n",
            "syncs/crm.yaml:2:10: not valid YAML: mapping values are not allowed here",
        ),
        (
            "syncs/crm.yaml",
            "name: crm\n\tprovider: x\n",
            "syncs/crm.yaml:2:1: not valid YAML: while scanning for the next token; "
            "found character '\\t' that cannot start any token",
        ),
        (
            "syncs/crm.json",
            '{\n  "name": "crm",\n}',
            "syncs/crm.json:3:1: not valid JSON: Expecting property name enclosed in double quotes.",
        ),
        (
            "syncs/crm.yaml",
            "name: crm\ncustomers: [${CUSTOMER}]\n",
            "syncs/crm.yaml:2:14: not valid YAML: while parsing a flow sequence; expected ',' or ']', but got '{' "
            "(inside { } and [ ] a ${NAME} needs quotes)",
        ),
        ("syncs/crm.yaml", b"name: \xff\n", "syncs/crm.yaml: not UTF-8 text: save it as UTF-8"),
        ("syncs/crm.yaml", "- a\n- b\n", "syncs/crm.yaml:1: must be a mapping of `name: value`"),
        ("syncs/crm.yaml", "name: a\nname: b\n", "syncs/crm.yaml:2:1: name: is written twice (first in line 1)"),
        ("syncs/crm.yaml", "1: crm\n", "syncs/crm.yaml:1:1: has a key that is not text: write it in quotes"),
        ("syncs/crm.yaml", "name: &a [*a]\n", "syncs/crm.yaml:1:7: name[0]: contains itself"),
        (
            "syncs/crm.yaml",
            "name: !!python/object/apply:os.getcwd []\n",
            "syncs/crm.yaml:1:7: name: has a YAML tag that is not known here: leave the `!` and its word out",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_line_and_column(project_folder, name, text, expected):
    project_folder.write({"syncs/crm.yaml": None, name: text})

    assert project_folder.problems() == [expected]


def test_a_bomb_of_aliases_is_stopped(project_folder):
    levels = "\n".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9))
    project_folder.write({"syncs/crm.yaml": f"a0: &a0 [x]\n{levels}\n"})

    (problem,) = project_folder.problems()

    assert "the document has more than 100,000 values" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SYNC,
            ["1: objects: is missing: add it"],
        ),
        (
            "name: crm\n",
            [
                "1: destination: is missing: add it (or `destination_id`)",
                "1: objects: is missing: add it",
                "1: provider: is missing: add it (or `provider_id`)",
            ],
        ),
        (sync("provider_id: 5"), ["4: provider_id: says the same as `provider`: keep one of them"]),
        (
            sync(objects="objects:\n  - objct: contact"),
            [
                '6: objects[0].objct: is not known here. Did you mean "object"? Known: associations, common_schema, '
                "custom_schema, filter, formula_refresh, freshness, history, leaving, object, raw_fields, "
                "schema_policy, strategy, table",
                "6: objects[0].object: is missing: add it",
            ],
        ),
        (
            SCHEMA + "        - {name: tier, tpye: text}\n",
            [
                '9: objects[0].custom_schema.fields[0].tpye: is not known here. Did you mean "type"? Known: '
                "description, locked, name, required, sources, type"
            ],
        ),
        (
            SCHEMA + "        - tier\n        - {name: size, type: txt}\n",
            [
                '10: objects[0].custom_schema.fields[1].type: "txt" is not known here. Did you mean "text"? Known: '
                "bigint, bool, boolean, date, datetime, decimal, integer, json, jsonb, number, numeric, string, text, "
                "timestamp, timestamptz"
            ],
        ),
        (sync("full_refresh_every: many"), ["4: full_refresh_every: must be a whole number"]),
        (sync("full_refresh_every: 0"), ["4: full_refresh_every: must be at least 1"]),
        (sync("delete_brake: 7"), ["4: delete_brake: must be at most 1"]),
        (sync("customers: acme"), ["4: customers: must be a list: begin each item with `- `"]),
        (sync("customers: [a/b]"), ["4: customers[0]: is not a customer id: it may not contain /"]),
        (sync(objects="objects: []"), ["5: objects: must not be empty"]),
        (sync().replace("name: crm", "name: 2026"), ["1: name: must be text: write it in quotes"]),
        (
            sync("strategy: incremntal"),
            [
                '4: strategy: "incremntal" is not known here. Did you mean "incremental"? Known: full only, '
                "full refresh, full then incremental, full_refresh, incremental"
            ],
        ),
        (
            sync("mode: apend"),
            ['4: mode: "apend" is not known here. Did you mean "append"? Known: append, mirror, upsert'],
        ),
        (
            sync("direction: bidirectional"),
            ["4: direction: bidirectional is not there yet: write `direction: inbound`, or leave it out"],
        ),
        (
            sync("metadata_prefix: meta"),
            [
                "4: metadata_prefix: must begin and end with _ and hold small letters, digits and _ only, "
                "such as `_sync_`"
            ],
        ),
        (
            sync(objects="objects: [{object: contact, table: My Table}]"),
            [
                "5: objects[0].table: must be a plain table name: small letters, digits and _, at most 63, "
                "a letter first"
            ],
        ),
        (
            sync("strategy: incremental\nconfig: {strategy: incremental}"),
            ["1: has both `strategy` and `config.strategy`: keep one"],
        ),
        (
            sync("customers: [acme]\noverrides: {globex: {schedule: daily}}"),
            ["1: has an override for globex, whom `customers` does not name"],
        ),
        (
            sync("overrides: {acme: {objects: [deal]}}"),
            ["1: has an override for acme with deal, which is not among its objects (contact)"],
        ),
        (
            sync("overrides: {acme: {schema: pg_catalog}}"),
            ["4: overrides.acme.schema: must be a schema of your own, such as `public` or `crm`"],
        ),
    ],
)
def test_a_wrong_sync_is_told_with_line_and_field(project_folder, text, expected):
    project_folder.write({"syncs/crm.yaml": text})

    assert project_folder.problems() == [f"syncs/crm.yaml:{problem}" for problem in expected]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("dayly", '4: schedule: "dayly" is not known here. Did you mean "daily"? Known: daily, hourly, manual, weekly'),
        (
            "{every: 15}",
            "4: schedule.every: must be a length of time with its unit, such as `15 minutes` or `1h 30m`",
        ),
        ("{every: 0 minutes}", "4: schedule.every: must be more than nothing and at most ten years"),
        (
            "{every: 15 minutes, cron: '* * * * *'}",
            "4: schedule: must say when exactly once: `every`, `cron`, `interval_minutes`, or one word such as "
            "`hourly`",
        ),
        (
            "{cron: '99 * * * *'}",
            "4: schedule.cron: must be a cron line of five fields (minute hour day month weekday), such as "
            "`0 6 * * 1-5`",
        ),
        ("{cron: '0 0 30 2 *'}", "4: schedule.cron: never comes: there is no such day"),
        (
            "{cron: '0 0 * * *', timezone: Europe/Pariss}",
            "4: schedule.timezone: is not a known time zone: write an IANA name such as `Europe/Paris` or `UTC`",
        ),
        (
            "{cron: '0 0 * * *', timezone: ../../etc/passwd}",
            "4: schedule.timezone: is not a known time zone: write an IANA name such as `Europe/Paris` or `UTC`",
        ),
        ("{type: interval, interval_minutes: 0}", "4: schedule.interval_minutes: must be more than 0"),
        ("{type: interval, interval_minutes: 1e9}", "4: schedule.interval_minutes: must be at most 5270400"),
        (
            "{preset: hourly, at: '6:30'}",
            "4: schedule: has `at`, which goes with `preset: daily` or `preset: weekly`: "
            "a cron line holds its own time",
        ),
        ("{preset: daily, at: 25:00}", "4: schedule.at: must be a time of day such as `06:30`"),
        *(
            (
                written,
                "4: schedule: has a `timezone`, which goes with `cron`, `preset: daily` and `preset: weekly`: an "
                "interval comes at the same moments in all zones; for a time of day write `{preset: daily, "
                'at: "06:00", timezone: ...}`',
            )
            for written in (
                "{every: 1 day, timezone: Europe/Paris}",
                "{preset: hourly, timezone: Asia/Kathmandu}",
                "{type: interval, interval_minutes: 60, timezone: Europe/Paris}",
            )
        ),
        *(
            (
                f"{{cron: '{line}'}}",
                "4: schedule.cron: must hold its times: `R` means another one each time; `spread` lays customers apart "
                "in time",
            )
            for line in ("R R * * *", "r(0-5) * * * *", "0 R/6 * * *")
        ),
        ("{type: interval}", "4: schedule: of type interval takes `interval_minutes` and nothing else"),
    ],
)
def test_a_wrong_schedule_is_told(project_folder, schedule, expected):
    project_folder.write({"syncs/crm.yaml": sync(f"schedule: {schedule}")})

    assert project_folder.problems() == [f"syncs/crm.yaml:{expected}"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "destinations/warehouse.yaml",
            "name: warehouse\ntype: postgrse\n",
            '2: type: "postgrse" is not known here. Did you mean "postgres"? Known: postgres, s3',
        ),
        ("destinations/warehouse.yaml", "name: warehouse\n", "1: type: is missing: add it. Known: postgres, s3"),
        (
            "destinations/warehouse.yaml",
            WORKING["destinations/warehouse.yaml"].replace("database: crm", "database: crm\n  schema: pg_temp"),
            "6: credentials.schema: must be a schema of your own, such as `public` or `crm`",
        ),
        (
            "destinations/warehouse.yaml",
            WORKING["destinations/warehouse.yaml"].replace("database: crm", "database: crm\n  port: 70000"),
            "6: credentials.port: must be at most 65535",
        ),
        (
            "destinations/warehouse.yaml",
            WORKING["destinations/warehouse.yaml"] + "row_level_security: {setting: customer}\n",
            "8: row_level_security.setting: must be a setting of your own: small letters, digits and _ with a dot, "
            "such as `app.customer`",
        ),
        (
            "destinations/warehouse.yaml",
            WORKING["destinations/warehouse.yaml"] + "row_level_security: {roles: [a]}\n",
            '8: row_level_security.roles: is not known here. Did you mean "role"? Known: role, setting',
        ),
        (
            "destinations/warehouse.yaml",
            "name: warehouse\ntype: s3\nrow_level_security: true\n"
            "credentials: {access_key_id: a, secret_access_key: b, region: c, bucket: crm-copies}\n",
            "3: row_level_security: is of databases only: in a bucket, give each customer's prefix its own right to be "
            "read",
        ),
        (
            "providers/salesforce.yaml",
            "provider_name: salesforce\n",
            "1: oauth: is missing: add it (or `config`)",
        ),
        (
            "providers/salesforce.yaml",
            "provider_name: salesforce\noauth: {client_id: a, client_secret: b}\nlogin_url: login.salesforce.com\n",
            "3: login_url: must be a URL that begins with https:// (or http:// for a local server), without ? and #",
        ),
        (
            "providers/salesforce.yaml",
            "name: salesforce\nprovider_name: salesfroce\noauth: {client_id: a, client_secret: b}\n",
            '2: provider_name: there is no provider "salesfroce". Did you mean "salesforce"? '
            "Known: hubspot, salesforce",
        ),
    ],
)
def test_a_wrong_provider_or_destination_is_told(project_folder, name, text, expected):
    project_folder.write({name: text})

    assert project_folder.problems(providers=PROVIDERS) == [f"{name}:{expected}"]


def test_connection_parameters_are_those_of_libpq(project_folder):
    text = WORKING["destinations/warehouse.yaml"] + "connection_parameters: {sslmod: require, host: x}\n"
    project_folder.write({"destinations/warehouse.yaml": text})

    (problem,) = project_folder.problems()

    assert problem.startswith("destinations/warehouse.yaml:8: connection_parameters: does not take host, sslmod; ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "salesforce",
            "salesfroce",
            '2: provider: no provider has the name "salesfroce". Did you mean "salesforce"? Known: salesforce',
        ),
        (
            "warehouse",
            "warehose",
            '3: destination: no destination has the name "warehose". Did you mean "warehouse"? Known: warehouse',
        ),
    ],
)
def test_a_reference_to_nothing_is_told(project_folder, old, new, expected):
    project_folder.write({"syncs/crm.yaml": sync().replace(old, new)})

    assert project_folder.problems() == [f"syncs/crm.yaml:{expected}"]


def test_an_id_that_could_mean_several_is_told(project_folder):
    project_folder.write({"providers/hubspot.yaml": HUBSPOT})
    project_folder.write({"syncs/crm.yaml": sync().replace("provider: salesforce", "provider_id: 5")})

    assert project_folder.problems() == [
        'syncs/crm.yaml:2: provider_id: no provider has the id "5". Known: hubspot, salesforce'
    ]


def test_a_broken_document_is_not_told_again_where_it_is_referred_to(project_folder):
    project_folder.write({"destinations/warehouse.yaml": "name: warehouse\ntype: [\n"})

    (problem,) = project_folder.problems()

    assert problem.startswith("destinations/warehouse.yaml:")


def test_names_are_told_apart_as_dagster_and_tables_tell_them_apart(project_folder):
    project_folder.write({"syncs/other.yaml": sync(objects="objects: [account]").replace("name: crm", "name: CRM")})

    assert project_folder.problems() == [
        "syncs/other.yaml:1: name: another sync has this name already (syncs/crm.yaml:1): choose another one"
    ]


class TestWhoWritesWhat:
    def test_two_syncs_that_would_write_the_same_rows_are_refused_naming_both(self, project_folder):
        project_folder.write({"syncs/zweite.yaml": sync(objects="objects: [lead, Contact]").replace("crm", "second")})

        assert project_folder.problems(providers=PROVIDERS) == [
            'syncs/zweite.yaml:5: objects[1]: writes the same rows of table "crm_contact" as crm, contact '
            "(syncs/crm.yaml:5): remove one, or give one its own `table`"
        ]

    def test_two_names_of_one_object_in_one_sync_are_noticed(self, project_folder):
        project_folder.write({"providers/hubspot.yaml": HUBSPOT})
        text = sync(objects="objects:\n  - contact\n  - companies\n  - account").replace("salesforce", "hubspot")
        project_folder.write({"syncs/crm.yaml": text})

        (problem,) = project_folder.problems(providers=PROVIDERS)

        assert problem.startswith('syncs/crm.yaml:8: objects[2]: writes the same rows of table "crm_account" as crm')

    @pytest.mark.parametrize(
        "text",
        [
            sync(objects="objects: [{object: contact, table: contacts_again}]"),
            sync(objects="objects: [{object: contact, common_schema: false}]"),
            sync().replace("salesforce", "hubspot"),
        ],
        ids=["another table", "outside the common model", "another provider"],
    )
    def test_other_rows_or_another_table_are_fine(self, project_folder, text):
        project_folder.write(
            {"providers/hubspot.yaml": HUBSPOT, "syncs/two.yaml": text.replace("name: crm", "name: b")}
        )

        assert set(project_folder.load().syncs) == {"crm", "b"}

    def test_two_syncs_of_different_customers_may_share_a_table(self, project_folder):
        project_folder.write(
            {
                "syncs/crm.yaml": sync("customers: [acme]"),
                "syncs/two.yaml": sync("customers: [globex]").replace("name: crm", "name: two"),
            }
        )

        assert set(project_folder.load().syncs) == {"crm", "two"}

    def test_one_table_has_one_metadata_prefix(self, project_folder):
        text = sync("metadata_prefix: _supaglue_").replace("name: crm", "name: two").replace("salesforce", "hubspot")
        project_folder.write({"providers/hubspot.yaml": HUBSPOT, "syncs/two.yaml": text})

        assert project_folder.problems() == [
            'syncs/two.yaml:4: metadata_prefix: table "crm_contact" has the prefix "_sync_" from crm, contact '
            "(syncs/crm.yaml:5): use the same, or give one its own `table`"
        ]

    def test_one_column_has_one_type(self, project_folder):
        text = SCHEMA + "        - {name: Tier, type: number}\n"
        project_folder.write(
            {
                "providers/hubspot.yaml": HUBSPOT,
                "syncs/crm.yaml": SCHEMA + "        - tier\n",
                "syncs/two.yaml": text.replace("name: crm", "name: two").replace("salesforce", "hubspot"),
            }
        )

        (problem,) = project_folder.problems()

        assert problem.startswith(
            'syncs/two.yaml:6: objects[0].custom_schema: column "tier" of table "crm_contact" is numeric here and text'
        )


def test_a_custom_schema_is_checked_field_by_field(project_folder):
    fields = ["tier", "{name: Tier}", "_supaglue_id", "{name: a, locked: true}", "{name: c, sources: {salesfrce: X}}"]
    project_folder.write({"syncs/crm.yaml": SCHEMA + "".join(f"        - {field}\n" for field in fields)})
    at = "objects[0].custom_schema.fields"

    assert project_folder.problems() == [
        f'syncs/crm.yaml:10: {at}[1].name: becomes the column "tier", as "tier" does: give it another name',
        f"syncs/crm.yaml:11: {at}[2].name: names that begin with _supaglue_ are reserved: choose another name",
        f"syncs/crm.yaml:12: {at}[3].locked: a locked field needs its source: add `sources: {{salesforce: <field>}}`",
        f"syncs/crm.yaml:13: {at}[4].sources.salesfrce: is not a provider. "
        'Did you mean "salesforce"? Known: salesforce',
    ]


def test_problems_of_all_files_come_together_in_order(project_folder):
    project_folder.write(
        {
            "providers/salesforce.yaml": "provider_name: salesforce\noauth: {client_id: '${NOPE}', client_secret: b}\n",
            "destinations/warehouse.yaml": "name: warehouse\ntype: s3\n",
            "syncs/crm.yaml": sync("mode: truncate"),
            "syncs/two.yaml": "name: [\n",
        }
    )

    places = [problem.split(" ")[0] for problem in project_folder.problems()]

    assert places == [
        "destinations/warehouse.yaml:1:",
        "providers/salesforce.yaml:2:",
        "syncs/crm.yaml:4:",
        "syncs/two.yaml:2:1:",
    ]


def test_a_folder_that_is_not_there_is_told_with_its_setting(project_folder):
    project_folder.path = project_folder.path / "nowhere"

    (problem,) = project_folder.problems()

    assert problem.endswith("there is no such folder: set SYNC_PIPELINES_SYNCS_DIR to yours")


def test_files_in_the_wrong_place_are_warned_of(project_folder):
    project_folder.write({"crm.yaml": "name: a\n", "sync/crm.yaml": "name: b\n"})

    assert [warning.rsplit("/", 1)[1] for warning in project_folder.load(ENVIRON).warnings] == [
        "crm.yaml is not read: move it into providers, destinations, syncs",
        "sync is not read: move it into providers, destinations, syncs",
    ]
