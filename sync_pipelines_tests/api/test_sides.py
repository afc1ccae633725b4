"""Providers and destinations made, changed and deleted by API: what a file would mean, in the same words."""

import uuid

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from sync_pipelines.config.documents import DESTINATION_DOCUMENTS, ProviderDocument
from sync_pipelines.config.masking import SECRET_KEYS
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.project import open_project
from sync_pipelines.store.sealing import new_key
from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.api.test_sync_documents import parts
from sync_pipelines_tests.fixtures.place import ACME

SECRETS = ("shh-of-the-app", "shh-of-the-database", "shh-of-the-bucket")
PROVIDER = {
    "name": "crm of ours",
    "provider_name": "salesforce",
    "oauth": {"client_id": "a", "client_secret": SECRETS[0]},
}
DATABASE = {
    "name": "archive",
    "type": "postgres",
    "credentials": {"host": "db.invalid", "database": "archive", "user": "sync", "password": SECRETS[1]},
}
BUCKET = {
    "name": "lake",
    "type": "s3",
    "credentials": {
        "bucket": "our-lake",
        "prefix": "crm/${CUSTOMER_ID}",
        "access_key_id": "AKIA",
        "secret_access_key": SECRETS[2],
    },
}
SYNC = {"name": "by api", "provider": "crm of ours", "destination": "archive", "objects": ["contact"]}


@pytest.fixture
def anywhere(place):
    """A closed network: what is made by API may be on this machine, as the sandbox and the tests' Postgres are."""
    place.options["webhooks_to_private_addresses"] = True
    place.open()


def on_this_machine(place):
    """The documents that the place's own files hold, with other names."""
    oauth = {"client_id": place.environ["CLIENT_ID"], "client_secret": place.environ["CLIENT_SECRET"]}
    credentials = {"host": place.warehouse.host, "port": place.warehouse.port, "database": place.warehouse.name}
    credentials |= {"schema": "by_api", "user": place.warehouse.user}
    return (
        {**PROVIDER, "oauth": oauth, "login_url": f"{place.control.url}/salesforce/login"},
        {**DATABASE, "credentials": credentials},
    )


def test_by_api_alone_a_customers_records_land_and_a_restart_sees_the_same(anywhere, place, served, command_line):
    for file in place.folder.rglob("*.yaml"):
        file.unlink()
    place.open()
    provider, destination = on_this_machine(place)
    with served().as_() as client:
        made = client.post("/providers", json=provider)
        assert made.status_code == 201, made.text
        assert made.headers["location"] == "/api/v1/providers/crm%20of%20ours"
        assert (made.json()["origin"], made.json()["version"], made.json()["file"]) == ("api", 1, None)
        assert "Contact" in made.json()["objects"]
        assert client.post("/destinations", json=destination).status_code == 201
        assert client.post("/syncs", json={**SYNC, "schedule": "hourly"}).status_code == 201
        tokens = {"customer_id": ACME, "provider": PROVIDER["name"]}
        tokens |= {"refresh_token": place.control.new_tokens(ACME)["refresh_token"]}
        assert client.post("/connections", json=tokens).status_code == 201
        assert client.post("/connect-sessions", json={"customer_id": ACME, "provider": PROVIDER["name"]}).is_success
        assert client.post("/syncs/by api/trigger").status_code == 202
        assert [each.customers for each in place.project.store.due.claim()] == [(ACME,)]
        (run,) = place.project.sync_connections("by api", "contact", [ACME], run_id=uuid.uuid4().hex)
        assert run.status == "success"
        assert client.get("/health").is_success
        before = [client.get(f"/{each}").json() for each in ("providers", "destinations", "syncs", "connections")]
    landed = place.rows("crm_contact", ACME, schema="by_api")
    assert len(landed) == len(list(place.control.truth(ACME, "Contact")))
    assert {each["_sync_provider_name"] for each in landed} == {PROVIDER["name"]}

    place.open()
    (again,) = place.project.sync_connections("by api", "contact", [ACME], run_id=uuid.uuid4().hex)
    assert (again.status, again.counts.created) == ("success", 0)
    with served().as_() as client:
        after = [client.get(f"/{each}").json() for each in ("providers", "destinations", "syncs", "connections")]
    assert [each["items"][0].get("name") for each in after[:3]] == [PROVIDER["name"], "archive", "by api"]
    assert after == before
    command_line.set(SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES="true")
    checked = command_line.at(place)("check")
    assert checked.code == 0, checked.text
    assert "by api" in checked.text


WRONG = [
    ("providers", PROVIDER, {"provider_name": "salesfroce"}, "provider_name", 'Did you mean "salesforce"?'),
    ("providers", PROVIDER, {"name": "a/b"}, "name", "no /"),
    ("providers", PROVIDER, {"oauth": None}, "oauth", "is missing"),
    ("providers", PROVIDER, {"auth_type": "magic"}, "auth_type", "Known: "),
    ("providers", PROVIDER, {"api_version": "v0"}, "api_version", "has no API version"),
    (
        "providers",
        PROVIDER,
        {"oauth": {"client_id": "a", "client_secret": 12345}},
        "oauth.client_secret",
        "must be text",
    ),
    ("providers", PROVIDER, {"oauth": {"client_id": "a", "client_secret": "***"}}, "oauth.client_secret", "is a mask"),
    ("providers", PROVIDER, {"secret": SECRETS[0]}, "secret", "is not known here"),
    (
        "providers",
        PROVIDER,
        {"oauth": {"client_id": "${CLIENT_ID}", "client_secret": "x"}},
        "oauth.client_id",
        "cannot take ${CLIENT_ID} from the environment",
    ),
    (
        "providers",
        PROVIDER,
        {"oauth": {"client_id": "a", "client_secret": "shh-${CLIENT_SECRET:-of-the-app}"}},
        "oauth.client_secret",
        "cannot take a value from the environment",
    ),
    ("providers", PROVIDER, {"login_url": "http://10.0.0.8/login"}, "login_url", "not public"),
    ("providers", PROVIDER, {"api_url": "https://127.0.0.1:1"}, "api_url", "not public"),
    ("providers", PROVIDER, {"login_url": "https://a:shh-of-the-app@crm.invalid"}, "login_url", "neither a user"),
    ("destinations", DATABASE, {"type": "postgers"}, "type", 'Did you mean "postgres"?'),
    ("destinations", DATABASE, {"name": None}, "name", "must be text"),
    ("destinations", DATABASE, {"credentials": {}}, "credentials.host", "is missing"),
    ("destinations", BUCKET, {"credentials": {"bucket": "L"}}, "credentials.bucket", "3 to 63"),
    ("destinations", BUCKET, {"folder": "/srv"}, "folder", "says the same"),
    ("destinations", BUCKET, {"credentials": None, "folder": "/srv"}, "folder", "a folder of this server"),
    ("destinations", BUCKET, {"credentials": {"bucket": "our-lake"}}, "credentials.access_key_id", "no rights"),
    (
        "destinations",
        BUCKET,
        {"credentials": {**BUCKET["credentials"], "endpoint_url": "https://[::1]"}},
        "credentials.endpoint_url",
        "not public",
    ),
    *(
        (
            "destinations",
            DATABASE,
            {"credentials": {**DATABASE["credentials"], field: value}},
            f"credentials.{field}",
            why,
        )
        for field, value, why in (
            ("host", "/var/run/postgresql", "one host"),
            ("host", "db.invalid,127.0.0.1", "one host"),
            ("host", "localhost", "this server itself"),
            ("host", "::ffff:169.254.169.254", "this server itself"),
            ("password", "", "is missing"),
            ("user", "${CUSTOMER_ID}", "cannot hold"),
        )
    ),
    (
        "destinations",
        DATABASE,
        {"connection_parameters": {"sslkey": "/x"}},
        "connection_parameters.sslkey",
        "a file of",
    ),
]


def test_what_is_wrong_is_told_in_the_words_of_check_and_nothing_is_stored(caller, bare):
    for kind, usual, change, at, message in WRONG:
        told = caller.post(f"/{kind}", json={**usual, **change})
        assert any(each == f"body.{at}" and message in text for each, text in parts(told).items()), (change, told.text)
        assert told.json()["detail"].startswith(f"The {kind.removesuffix('s')} is not as it should be. ")
        assert not any(secret in told.text for secret in SECRETS)
        assert bare.place.environ["CLIENT_SECRET"] not in told.text
    for kind in ("providers", "destinations"):
        refused(caller.post(f"/{kind}", json=[PROVIDER]), 422)
        refused(caller.post(f"/{kind}", json={}), 422)
    assert bare.place.project.store.api_sides.list() == []


@pytest.mark.parametrize(
    ("kind", "usual", "secret", "elsewhere"),
    [
        ("providers", PROVIDER, "oauth.client_secret", {"login_url": "https://login.invalid"}),
        ("destinations", DATABASE, "credentials.password", {"credentials": {"host": "elsewhere.invalid"}}),
        (
            "destinations",
            BUCKET,
            "credentials.secret_access_key",
            {"credentials": {"endpoint_url": "https://s3.invalid"}},
        ),
    ],
    ids=("provider", "database", "bucket"),
)
def test_a_secret_goes_in_stays_and_never_comes_out(caller, bare, caplog, kind, usual, secret, elsewhere):
    caplog.set_level("DEBUG")
    store, path = bare.place.project.store, f"/{kind}/{usual['name']}"
    above, key = secret.split(".")

    def stored():
        (only,) = store.api_sides.list()
        return dict(store.api_sides.secrets(only)).get(secret)

    written = usual[above][key]
    answers = [caller.post(f"/{kind}", json=usual)]
    document = answers[0].json()["document"]
    assert document == {**usual, above: {**usual[above], key: "***"}}
    assert stored() == written
    left_out = {**usual, above: {name: value for name, value in usual[above].items() if name != key}}
    for kept in (document, left_out, document):
        answers.append(caller.put(path, json=kept))
        assert answers[-1].json()["document"] == document
        assert stored() == written
    moved = {**document, **elsewhere, above: {**document[above], **elsewhere.get(above, {})}}
    answers.append(caller.put(path, json=moved))
    assert "must be sent again" in parts(answers[-1])[f"body.{secret}"]
    answers.append(caller.put(path, json={**moved, above: {**moved[above], key: "another-shh"}}))
    assert answers[-1].json()["version"] == 5
    assert stored() == "another-shh"
    answers += [caller.get(path), caller.get(f"/{kind}"), caller.get("/logs/audit"), caller.get("/logs")]
    assert [each["action"] for each in answers[-2].json()["items"]].count("update") == 4
    answers.append(caller.put(path, json={**usual, "nonsense": written}))
    answers.append(caller.delete(path))
    assert answers[-1].json()["name"] == usual["name"]
    with bare.place.store.connect() as database:
        tables = [
            database.execute(f"SELECT CAST(t AS text) FROM {name} t").fetchall() for name in ("audit", "api_sides")
        ]
    seen = str(tables) + caplog.text + "".join(each.text for each in answers)
    assert written not in seen
    assert "another-shh" not in seen


def test_every_secret_of_a_document_stands_under_a_key_that_is_masked():
    def secrets_of(model):
        for name, field in model.model_fields.items():
            if "SecretStr" in repr(field.annotation):
                yield name
            for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from secrets_of(inner)

    models = (ProviderDocument, *DESTINATION_DOCUMENTS.values())
    assert {name for model in models for name in secrets_of(model)} == SECRET_KEYS


@pytest.mark.parametrize(("kind", "usual"), [("providers", PROVIDER), ("destinations", DATABASE)])
def test_a_name_has_one_holder_and_who_was_slower_is_told(caller, bare, kind, usual):
    noun, declared = kind.removesuffix("s"), "salesforce" if kind == "providers" else "warehouse"
    path, key = f"/{kind}/{usual['name']}", {"Idempotency-Key": "one"}
    made = caller.post(f"/{kind}", json=usual, headers=key)
    again = caller.post(f"/{kind}", json=usual, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"], again.json()) == (201, "true", made.json())
    changed = {**usual, "id": "7"}
    assert "This idempotency key" in refused(caller.post(f"/{kind}", json=changed, headers=key), 409)
    assert "api:test made or changed it" in refused(
        caller.post(f"/{kind}", json={**usual, "name": usual["name"].upper()}), 409
    )
    told = refused(caller.post(f"/{kind}", json={**usual, "name": declared.title()}), 409)
    assert f"The {noun} {declared} has this name already; it is declared in {kind}/{declared}.yaml" in told
    for call in (
        caller.put(f"/{kind}/{declared}", json={**usual, "name": declared}),
        caller.delete(f"/{kind}/{declared}"),
    ):
        assert f"is declared in {kind}/{declared}.yaml: change it there" in refused(call, 409)
    of_file = caller.get(f"/{kind}/{declared}").json()
    assert (of_file["origin"], of_file["file"], of_file["document"]) == ("file", f"{kind}/{declared}.yaml", None)
    assert "must stay" in parts(caller.put(path, json={**usual, "name": "another"}))["body.name"]

    tag = {"If-Match": made.headers["etag"]}
    saved = caller.put(path, json=changed, headers=tag)
    assert (saved.status_code, saved.json()["version"]) == (200, 2)
    assert caller.get(path).headers["etag"] == saved.headers["etag"] != made.headers["etag"]
    for call in (caller.put(path, json=usual, headers=tag), caller.delete(path, headers=tag)):
        assert "has moved on to version 2" in refused(call, 412)
    assert [(each["name"], each["origin"]) for each in caller.get(f"/{kind}").json()["items"]] == sorted(
        [(usual["name"], "api"), *([("hubspot", "file")] if kind == "providers" else []), (declared, "file")]
    )
    twin = {**usual, "name": "another", "id": 7}
    assert "has this id already" in parts(caller.post(f"/{kind}", json=twin))["body.id"]
    assert caller.delete(path, headers={"If-Match": "*"}).status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        more = {"json": usual} if method == "PUT" else {}
        assert f"There is no {noun} named {usual['name']}. Known are: " in refused(
            caller.request(method, path, **more), 404
        )
        refused(caller.request(method, f"/{kind}/a%00", **more), 422)


def test_what_a_sync_needs_stays_and_what_it_failed_for_is_due_when_it_is_changed(anywhere, place, served):
    place.connect(ACME)
    place.project.plan("crm")
    provider, destination = on_this_machine(place)
    with served().as_() as client:
        for path, document in (("/providers", provider), ("/destinations", destination)):
            assert client.post(path, json=document).status_code == 201
        assert client.post("/syncs", json={**SYNC, "provider": "salesforce", "schedule": "daily"}).status_code == 201
        assert client.post("/syncs", json={**SYNC, "name": "other", "destination": "warehouse"}).status_code == 201
        assert "used by the syncs by api" in refused(client.delete("/destinations/archive"), 409)
        assert "used by the syncs other" in refused(client.delete("/providers/crm of ours"), 409)
        told = refused(client.put("/providers/crm of ours", json={**provider, "provider_name": "nonsense"}), 422)
        assert "there is no provider" in told
        by_id = {key: value for key, value in SYNC.items() if key != "provider"}
        by_id |= {"name": "other", "provider_id": 77, "destination": "warehouse", "objects": ["Case"]}
        assert client.put("/providers/crm of ours", json={**provider, "id": "77"}).is_success
        assert client.put("/syncs/other", json=by_id).is_success
        told = refused(client.put("/providers/crm of ours", json=provider), 409)
        assert "The syncs other could not be with it as they are: sync other (made by API): provider_id: no pro" in told

        with place.store.connect() as database:
            database.execute("UPDATE due SET attempts = 9, error_since = now(), retry_at = now() + interval '1 day'")
        assert client.put("/destinations/archive", json=destination).is_success
        assert place.project.store.due.list("by api", ACME)[0].attempts == 9
        elsewhere = {**destination, "credentials": {**destination["credentials"], "schema": "elsewhere"}}
        assert client.put("/destinations/archive", json=elsewhere).is_success
        (mended,) = place.project.store.due.list("by api", ACME)
        assert mended.error_since is None
        (untouched,) = place.project.store.due.list("crm", ACME)
        assert untouched.attempts == 9
        (run,) = place.project.sync_connections("by api", "contact", [ACME], run_id=uuid.uuid4().hex)
        assert run.status == "success"
        assert place.rows("crm_contact", ACME, schema="elsewhere")
        assert client.delete("/syncs/by api").status_code == 200
        assert client.delete("/destinations/archive").status_code == 200


def test_files_go_first_and_name_each_other_alone(caller, bare, command_line):
    place = bare.place
    assert caller.post("/providers", json=PROVIDER).status_code == 201
    assert caller.post("/destinations", json=DATABASE).status_code == 201
    assert caller.post("/syncs", json=SYNC).status_code == 201
    late = place.folder / "syncs" / "late.yaml"
    late.write_text(yaml.safe_dump({**SYNC, "name": "late", "destination": "warehouse"}))
    command_line.at(place)
    checked = command_line("check")
    assert checked.code == 2
    assert 'no provider has the name "crm of ours"' in checked.text
    late.unlink()

    taken = {"name": "archive", "type": "s3", "folder": str(place.folder.parent / "lake")}
    (place.folder / "destinations" / "taken.yaml").write_text(yaml.safe_dump(taken))
    checked = command_line("check")
    assert checked.code == 2
    assert (
        "The destination archive, made by API, is not used: destination archive (made by API): name: another"
        in checked.text
    )
    project = place.open()
    assert project.configuration.destinations["archive"].type == "s3"
    assert project.configuration.sides_by_api == {("providers", "crm of ours")}
    assert project.configuration.by_api == {"by api"}


def test_what_is_set_aside_is_listed_with_the_reason_and_can_go(place, served):
    with served().as_() as client:
        assert client.post("/destinations", json=DATABASE).status_code == 201
        assert client.post("/providers", json=PROVIDER).status_code == 201
        assert client.post("/syncs", json=SYNC).status_code == 201
    with place.store.connect() as database:
        gone = "jsonb_set(document::jsonb, '{provider_name}', '\"gone\"')"
        database.execute(f"UPDATE api_sides SET document = {gone} WHERE kind = 'providers'")
    place.open()
    assert place.project.configuration.syncs.keys() == {"crm"}
    with served().as_() as client:
        aside = client.get("/providers/crm of ours").json()
        assert "there is no provider" in aside["problem"]
        assert aside in [
            {**each, "version": 1, "document": aside["document"]} for each in client.get("/providers").json()["items"]
        ]
        assert client.put("/providers/crm of ours", json=PROVIDER).json()["problem"] is None
        assert client.get("/syncs/by api").json()["state"] == "created"
    other = open_project(place.settings().model_copy(update={"encryption_keys": SecretStr(new_key())}), place.environ)
    try:
        assert other.configuration.syncs.keys() == {"crm"}
        assert "SYNC_PIPELINES_ENCRYPTION_KEYS" in other.configuration.sides_aside["destinations", "archive"]
        with pytest.raises(ConfigurationError, match="does not run"):
            other.sync("by api")
    finally:
        other.close()
