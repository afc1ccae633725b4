"""A project of ours in a folder: what a data team would write to sync these contacts, as YAML."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr

from benchmarks.answers import TOKEN
from benchmarks.fields import CUSTOM, VENDORS
from benchmarks.postgres import DATABASE, Postgres
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project, open_project
from sync_pipelines.settings import DEVELOPMENT_KEY, Settings

OBJECTS: Final = {"hubspot": "contacts", "salesforce": "Contact", "bulk": "Contact"}
PROVIDERS: Final = {"hubspot": "hubspot", "salesforce": "salesforce", "bulk": "salesforce"}
TABLE: Final = "crm_contact"
_BULK_ABOVE: Final = {"hubspot": 2000, "salesforce": 1_000_000_000, "bulk": 0}
STORE_URL: Final = "BENCHMARK_STORE_URL"


def schema_of(vendor: str) -> str:
    return f"ours_{vendor}"


def write_project(folder: Path, postgres: Postgres) -> None:
    """Providers, a destination and a sync for each vendor."""
    for name in ("providers", "destinations", "syncs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for provider in ("hubspot", "salesforce"):
        oauth = {"client_id": "benchmark", "client_secret": "benchmark"}
        _write(folder / "providers" / f"{provider}.yaml", provider_name=provider, auth_type="oauth2", oauth=oauth)
    for vendor in VENDORS:
        _write(
            folder / "destinations" / f"{vendor}.yaml",
            name=f"{vendor}_warehouse",
            type="postgres",
            credentials={
                "host": postgres.host,
                "port": postgres.port,
                "database": DATABASE,
                "schema": schema_of(vendor),
                "user": postgres.user,
            },
        )
        _write(
            folder / "syncs" / f"{vendor}.yaml",
            name=vendor,
            provider=PROVIDERS[vendor],
            destination=f"{vendor}_warehouse",
            bulk_above=_BULK_ABOVE[vendor],
            objects=[{"object": OBJECTS[vendor], "custom_schema": {"version": 1, "fields": _custom_fields()}}],
        )


def write_sync(folder: Path, vendor: str, objects: Sequence[str]) -> None:
    """Instead of the vendor's sync of contacts, one of several objects, plainly."""
    _write(
        folder / "syncs" / f"{vendor}.yaml",
        name=vendor,
        provider=PROVIDERS[vendor],
        destination=f"{vendor}_warehouse",
        bulk_above=_BULK_ABOVE[vendor],
        objects=list(objects),
    )


def write_fields(folder: Path, vendor: str, fields: Mapping[str, tuple[str, Any]]) -> None:
    """Instead of the vendor's sync of contacts, one with these custom fields: by name their type and their rule."""
    custom = [{"name": name, "type": kind, "sources": {vendor: rule}} for name, (kind, rule) in fields.items()]
    _write(
        folder / "syncs" / f"{vendor}.yaml",
        name=vendor,
        provider=PROVIDERS[vendor],
        destination=f"{vendor}_warehouse",
        bulk_above=_BULK_ABOVE[vendor],
        objects=[{"object": OBJECTS[vendor], "custom_schema": {"version": 1, "fields": custom}}],
    )


def _custom_fields() -> list[dict[str, Any]]:
    return [
        {"name": name, "type": kind, "sources": {"hubspot": hubspot, "salesforce": salesforce}}
        for name, (kind, hubspot, salesforce) in CUSTOM.items()
    ]


def _write(file: Path, **document: Any) -> None:
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def connect(project: Project, customer: str, url: str, token: str = TOKEN) -> None:
    """One customer whose accounts at both vendors live at the stand-in's address."""
    for provider in ("hubspot", "salesforce"):
        project.store.connections.connect(
            customer_id=customer,
            provider=provider,
            tokens=Tokens(access_token=Secret(token), refresh_token=Secret(token)),
            login_url=url,
            api_url=url,
        )


@contextmanager
def opened(folder: Path, *, waiting: bool = False) -> Iterator[Project]:
    """The project, with every setting at its default or as SYNC_PIPELINES_ variables say.

    Waiting is switched off unless asked for: the stand-in has no rate limit, and 100 requests in 10 seconds, HubSpot's
    own, would be all that is measured.
    """
    settings = Settings(
        environment="development",
        store_url=SecretStr(os.environ[STORE_URL]),
        encryption_keys=SecretStr(DEVELOPMENT_KEY),
        syncs_dir=folder,
    )
    project = open_project(settings, {}, sleep=None if waiting else _no_wait)
    try:
        yield project
    finally:
        project.close()


def _no_wait(seconds: float) -> None:
    """The stand-in answers at once."""
