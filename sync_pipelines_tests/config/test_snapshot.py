"""A configuration as it is kept: equal when it does the same, without secrets, and written back the same."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sync_pipelines.config import load_configuration
from sync_pipelines.config.documents import PostgresDestinationDocument, ProviderDocument
from sync_pipelines.config.snapshot import digest_of, parts_of, without_secrets
from sync_pipelines.configuration_files import files_of, write_files
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.architecture.test_rules import ROOT

ENVIRON = {
    f"{vendor}_{name}": f"the {vendor} {name}"
    for vendor in ("SALESFORCE", "HUBSPOT")
    for name in ("CLIENT_ID", "CLIENT_SECRET")
} | {"WAREHOUSE_USER": "sync", "WAREHOUSE_PASSWORD": "hunter2"}


@pytest.fixture
def ours():
    return load_configuration(ROOT / "syncs", ENVIRON, providers=PROVIDERS)


def test_the_files_of_a_kept_configuration_mean_the_same(ours, tmp_path):
    write_files(ours.documents, tmp_path / "written")
    again = load_configuration(tmp_path / "written", ENVIRON, providers=PROVIDERS)
    assert parts_of(again) == parts_of(ours)
    assert digest_of(parts_of(again)) == digest_of(parts_of(ours))
    assert files_of(again.documents) == files_of(ours.documents)
    assert again.documents == ours.documents
    with pytest.raises(ConfigurationError, match="not empty"):
        write_files(ours.documents, tmp_path / "written")


def test_no_secret_is_kept_and_a_changed_one_is_no_other_configuration(ours):
    kept = repr((parts_of(ours), ours.documents))
    assert "the SALESFORCE CLIENT_SECRET" not in kept
    assert "hunter2" not in kept
    other = load_configuration(ROOT / "syncs", ENVIRON | {"WAREHOUSE_PASSWORD": "x"}, providers=PROVIDERS)
    assert digest_of(parts_of(other)) == digest_of(parts_of(ours))
    moved = load_configuration(ROOT / "syncs", ENVIRON | {"WAREHOUSE_HOST": "elsewhere"}, providers=PROVIDERS)
    assert digest_of(parts_of(moved)) != digest_of(parts_of(ours))


def test_a_default_is_the_same_written_or_not(ours):
    sync = next(iter(ours.syncs.values()))
    same = replace(ours, syncs={sync.name: replace(sync, mode="upsert", delete_brake=0.5, overrides={})})
    assert parts_of(same)["syncs"][sync.name] == parts_of(ours)["syncs"][sync.name]
    other = replace(ours, syncs={sync.name: replace(sync, overlap=timedelta(minutes=5))})
    assert parts_of(other)["syncs"][sync.name]["overlap"] == "300 s"


@dataclass(frozen=True)
class All:
    of: tuple[object, ...]


@dataclass(frozen=True)
class Any:
    of: tuple[object, ...]


def test_what_differs_only_in_its_kind_differs(ours):
    sync = next(iter(ours.syncs.values()))
    inner = (frozenset({"b", "a"}), datetime(2026, 3, 1, tzinfo=UTC), Decimal("1.50"))
    some, every = (replace(ours, syncs={"s": replace(sync, overrides={"acme": kind(inner)})}) for kind in (Any, All))
    assert digest_of(parts_of(some)) != digest_of(parts_of(every))
    assert parts_of(some)["syncs"]["s"]["overrides"]["acme"] == {
        "is": "Any",
        "of": [["a", "b"], "2026-03-01T00:00:00Z", "1.50"],
    }


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("hunter2", "${WAREHOUSE_PASSWORD}"),
        ("${DB_PASSWORD}", "${DB_PASSWORD}"),
        ("${DB_PASSWORD:-}", "${DB_PASSWORD:-}"),
        ("${DB_PASSWORD:-hunter2}", "${DB_PASSWORD}"),
        ("hunter${DB_PASSWORD}2", "${DB_PASSWORD}"),
        ("", ""),
    ],
)
def test_a_written_secret_becomes_a_reference(written, kept):
    value = {
        "name": "warehouse",
        "type": "postgres",
        "credentials": {"host": "h", "database": "d", "user": "u", "password": written},
    }
    document = PostgresDestinationDocument.model_validate(value)
    assert without_secrets(document, value, "warehouse")["credentials"]["password"] == kept


def test_secrets_are_found_in_the_printed_form_too_and_in_urls():
    value = {
        "provider_name": "salesforce",
        "auth_type": "oauth2",
        "config": {"oauth": {"oauth_scopes": ["api"], "credentials": {"client_id": "a", "client_secret": "hunter2"}}},
        "login_url": "https://ann:hunter2@login.example",
    }
    kept = without_secrets(ProviderDocument.model_validate(value), value, "salesforce")
    assert "hunter2" not in repr(kept)
    assert kept["config"]["oauth"]["credentials"]["client_secret"] == "${SALESFORCE_CLIENT_SECRET}"
    assert kept["config"]["oauth"]["oauth_scopes"] == ["api"]
