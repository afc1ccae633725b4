"""The demo's side of the REST API: asks for runs as a product's backend would, and compares what it tells of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from sync_pipelines.cli.stage import write_for_owner
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.store.tokens import SCOPES

KEPT_IN: Final = "api_token"


def make_token(project: Project, folder: Path) -> Secret:
    """A token for all that the API can do, which works for a day; a file in the folder keeps it."""
    expires = datetime.now(UTC) + timedelta(days=1)
    _, secret = project.store.tokens.create("demo", tuple(SCOPES), expires_at=expires, actor="demo")
    write_for_owner(folder / KEPT_IN, secret.reveal())
    return secret


@contextmanager
def caller(url: str, token: Secret) -> Iterator[httpx.Client]:
    """Calls below `/api/v1` with the token."""
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
        yield client


def trigger_all(client: httpx.Client) -> None:
    """Ask for a run of every sync, twice with one key: the second call must ask for nothing new."""
    for sync in client.get("/syncs").raise_for_status().json()["items"]:
        path, key = f"/syncs/{sync['id']}/trigger", {"Idempotency-Key": f"demo-{sync['id']}"}
        first, again = (client.post(path, headers=key).raise_for_status() for _ in range(2))
        if first.json()["id"] != again.json()["id"]:
            raise RuntimeError("the API took a repeated call for a new one")


def differences(client: httpx.Client, runs: Sequence[SyncRun], since: datetime) -> list[str]:
    """Where what the API tells of these runs, which ended after `since`, is not what became of them."""
    told = {
        (each["sync"], each["object"], each["customer_id"], each["execution_id"]): each
        for sync in sorted({run.sync for run in runs})
        for each in _pages(client, f"/syncs/{sync}/runs", since=since.isoformat(), limit=200)
    }
    wrong = []
    for run in runs:
        each = told.get((run.sync, run.object, run.customer_id, run.run_id))
        happened = (run.status, run.counts.read, run.counts.created, run.counts.updated, run.counts.deleted)
        if each is None or happened != _told(each):
            wrong.append(f"{run.sync} {run.object} {run.customer_id}: {happened}, the API tells {each and _told(each)}")
    if httpx.get(f"{client.base_url}syncs", trust_env=False).status_code != httpx.codes.UNAUTHORIZED:
        wrong.append("the API answers without a token")
    return wrong


def _told(run: dict[str, Any]) -> tuple[str | int, ...]:
    return run["status"], *(run["counts"][name] for name in ("read", "created", "updated", "deleted"))


def _pages(client: httpx.Client, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    while True:
        page = client.get(path, params=parameters).raise_for_status().json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        parameters["cursor"] = page["next_cursor"]
