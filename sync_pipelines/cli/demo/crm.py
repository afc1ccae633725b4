"""The demo's side of the CRMs: the sandbox process, connecting its customers, changing their records."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.sandbox.control import Control, SandboxAccount
from sync_pipelines.sandbox.serving import serve_process

OBJECT_WORDS: Final[Mapping[str, str]] = {
    "Account": "account",
    "Contact": "contact",
    "companies": "account",
    "contacts": "contact",
}
"""The vendors' objects that have a custom schema in syncs/, by the name that the syncs use."""

CHANGED: Final[Mapping[str, Mapping[str, int]]] = {
    "Account": {"updated": 25, "created": 12, "deleted": 6, "merged": 2},
    "Contact": {"updated": 60, "created": 30, "deleted": 15, "merged": 3},
    "Lead": {"updated": 15, "created": 10, "deleted": 5},
    "Opportunity": {"updated": 20, "created": 10, "deleted": 5},
    "Campaign": {"updated": 2, "created": 1, "deleted": 1},
    "companies": {"updated": 25, "created": 12, "deleted": 6, "merged": 2},
    "contacts": {"updated": 60, "created": 30, "deleted": 15, "merged": 3},
    "deals": {"updated": 20, "created": 10, "deleted": 5},
    "owners": {"updated": 1},
}


@contextmanager
def sandbox(folder: Path, *, seed: int, scale: float) -> Iterator[Control]:
    """The sandbox in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with serve_process(folder, seed=seed, scale=scale) as control:
        control.wait_ready(60)
        yield control


def environment(control: Control) -> dict[str, str]:
    """Variables that point the example configuration in syncs/ to the sandbox."""
    account = control.accounts()[0]
    return {
        "SALESFORCE_CLIENT_ID": account.client_id,
        "SALESFORCE_CLIENT_SECRET": account.client_secret,
        "SALESFORCE_LOGIN_URL": f"{control.url}/salesforce/login",
        "HUBSPOT_CLIENT_ID": account.client_id,
        "HUBSPOT_CLIENT_SECRET": account.client_secret,
        "HUBSPOT_LOGIN_URL": f"{control.url}/hubspot",
        "HUBSPOT_API_URL": f"{control.url}/hubspot",
    }


def connect_customers(project: Project, control: Control) -> list[SandboxAccount]:
    """Connect each invented customer with its tokens and map its own fields, as their onboarding would."""
    accounts = control.accounts()
    for account in accounts:
        project.store.connections.connect(
            customer_id=account.id,
            provider=account.vendor,
            environment=account.environment,
            tokens=Tokens(access_token=Secret(account.access_token), refresh_token=Secret(account.refresh_token)),
            api_url=account.api_url,
            actor="demo",
        )
        for vendor_object, meanings in account.meanings.items():
            word = OBJECT_WORDS[vendor_object]
            project.store.mappings.save(
                account.id, account.vendor, word, mapped(project, account.vendor, word, meanings)
            )
    return accounts


def mapped(project: Project, provider: str, word: str, meanings: Mapping[str, str]) -> dict[str, str]:
    """Those of the customer's meanings that the custom schema asks for; the others become additional fields."""
    schemas = [
        item.custom_schema
        for sync in project.configuration.syncs.values()
        if sync.provider == provider
        for item in sync.objects
        if item.object == word and item.custom_schema is not None
    ]
    wanted = {field.name for schema in schemas for field in schema.fields}
    additional = any(schema.allow_additional_fields for schema in schemas)
    return {name: field for name, field in meanings.items() if name in wanted or additional}


def change_everything(control: Control, accounts: list[SandboxAccount], *, seed: int) -> int:
    """Records updated, created, deleted and merged in every account; how many."""
    total = 0
    for account in accounts:
        for vendor_object, counts in CHANGED.items():
            size = account.sizes.get(vendor_object, 0)
            fitting = (
                {what: min(count, max(1, size // 20)) for what, count in counts.items()}
                if size > 20
                else {"updated": 1}
            )
            if size:
                changed = control.change(account.id, vendor_object, seed=seed + 1, **fitting)
                total += sum(len(ids) for ids in changed.values())
    return total
