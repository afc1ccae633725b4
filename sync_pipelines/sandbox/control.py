"""A client for the control calls: what tests, the demo and verification say to a running sandbox."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx


class SandboxError(Exception):
    """The sandbox refused a control call; the message says why."""


@dataclass(frozen=True, kw_only=True)
class SandboxAccount:
    """How to connect to one invented customer. `meanings`: object -> our word -> the vendor's field."""

    id: str
    title: str
    vendor: str
    environment: str
    account_id: str
    login_url: str
    api_url: str
    access_token: str
    refresh_token: str
    client_id: str
    client_secret: str
    own_app: Sequence[str]
    meanings: Mapping[str, Mapping[str, str]]
    sizes: Mapping[str, int]


class Control:
    """Speaks to the sandbox at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url + "/_sandbox", timeout=120, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "Control":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_ready(self, seconds: float) -> None:
        """Return once the sandbox answers. SandboxError when it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._client.get("/health").raise_for_status()
                return
            except httpx.HTTPError as problem:
                if time.monotonic() > deadline:
                    raise SandboxError(f"the sandbox at {self.url} does not answer: {problem}") from problem
                time.sleep(0.02)

    def accounts(self) -> list[SandboxAccount]:
        """The invented customers, in their order."""
        told = self._ask("GET", "/accounts")
        shared = {"client_id": told["client_id"], "client_secret": told["client_secret"]}
        found = []
        for customer in told["customers"]:
            login, api = customer.pop("login_path"), customer.pop("api_path")
            found.append(SandboxAccount(login_url=self.url + login, api_url=self.url + api, **customer, **shared))
        return found

    def account(self, id: str) -> SandboxAccount:
        return next(account for account in self.accounts() if account.id == id)

    def now(self) -> datetime:
        """The vendors' clock."""
        return datetime.fromisoformat(self._ask("GET", "/clock")["now"])

    def clock(self, *, advance: float = 0, set: datetime | str | None = None, frozen: bool | None = None) -> datetime:
        """Move the vendors' clock by seconds or to a time, stop it or let it run. What it shows then."""
        wish: dict[str, Any] = {"advance": advance}
        if set is not None:
            wish["set"] = _text(set)
        if frozen is not None:
            wish["frozen"] = frozen
        return datetime.fromisoformat(self._ask("POST", "/clock", wish)["now"])

    def fault(self, account: str, name: str, **options: Any) -> dict[str, Any]:
        """Switch a fault on; `path` (an expression over "METHOD /path?query"), `object`, `times`, `after` narrow it."""
        return dict(self._ask("POST", f"/accounts/{account}/faults", {"name": name, **options}))

    def clear_faults(self, account: str | None = None) -> None:
        self._ask("DELETE", "/faults" if account is None else f"/accounts/{account}/faults")

    def faults(self) -> dict[str, Any]:
        """What is on, and the names that are known."""
        return dict(self._ask("GET", "/faults"))

    def settings(self, account: str, **settings: Any) -> None:
        """search_lag (seconds), enforce_limits, rotate_refresh_tokens, instance (its name), daily_limit, daily_used,
        used_by_others, private_app, window_calls, window_seconds, lists."""
        self._ask("POST", f"/accounts/{account}/settings", settings)

    def change(self, account: str, object: str, *, seed: int = 1, **counts: int) -> dict[str, list[Any]]:
        """updated=, created=, deleted=, merged=: so many records. Their ids; the clock goes on by a second after."""
        return dict(self._ask("POST", f"/accounts/{account}/change", {"object": object, "seed": seed, **counts}))

    def record(self, account: str, object: str, **change: Any) -> str:
        """One change: operation= upsert, delete, restore, purge or merge; id=, fields=, into=, and the times modified=,
        created=, visible=."""
        wish = {name: _text(value) for name, value in change.items()}
        return str(self._ask("POST", f"/accounts/{account}/record", {"object": object, **wish})["id"])

    def ties(self, account: str, object: str, count: int, modified: datetime | str | None = None) -> list[str]:
        wish = {"object": object, "count": count, "modified": _text(modified)}
        return list(self._ask("POST", f"/accounts/{account}/ties", wish)["ids"])

    def link(
        self, account: str, one: tuple[str, str], other: tuple[str, str], type_ids: list[tuple[int, int]] | None = None
    ) -> None:
        """Associate two HubSpot records given as (object, id)."""
        self._ask("POST", f"/accounts/{account}/links", {"from": one, "to": other, "type_ids": type_ids})

    def unlink(self, account: str, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Take every association of two HubSpot records away."""
        self._ask("POST", f"/accounts/{account}/links", {"from": one, "to": other, "remove": True})

    def expire_tokens(self, account: str) -> None:
        self._ask("POST", f"/accounts/{account}/tokens/expire")

    def revoke_tokens(self, account: str, kind: str | None = None) -> None:
        """Access and refresh tokens, or only those of `kind`, stop working for good."""
        self._ask("POST", f"/accounts/{account}/tokens/revoke", {} if kind is None else {"kind": kind})

    def new_tokens(self, account: str) -> dict[str, str]:
        return dict(self._ask("POST", f"/accounts/{account}/tokens"))

    def calls(self, account: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """What clients asked, oldest first: number, account, method, path, params, status, at."""
        params = {"since": str(since)} | ({} if account is None else {"account": account})
        return list(self._ask("GET", "/calls", params=params))

    def truth(self, account: str, object: str) -> Iterator[dict[str, Any]]:
        """Every record as it is now, deleted ones too, in the order of ids.

        {id, created, modified, deleted, archived_at, fields, associations? {object: [[id, type id], ...]}}
        """
        with self._client.stream("GET", f"/accounts/{account}/objects/{object}/truth") as answer:
            if answer.status_code != 200:
                answer.read()
                raise SandboxError(answer.text)
            # Not by iter_lines, which also ends a line at U+2028 and the like inside a text.
            rest = b""
            for chunk in answer.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(json.loads, lines)

    def webhooks(self, url: str, subscriptions: Sequence[Mapping[str, str]]) -> None:
        """HubSpot tells changes of all portals to this URL. Subscriptions: {eventType, propertyName?}."""
        self._ask("POST", "/webhooks", {"url": url, "subscriptions": list(subscriptions)})

    def outbound_messages(self, account: str, url: str, objects: Sequence[str]) -> None:
        """A Salesforce organisation sends a message to this URL for each record of these objects that changes."""
        self._ask("POST", f"/accounts/{account}/outbound-messages", {"url": url, "objects": list(objects)})

    def told(self) -> list[dict[str, Any]]:
        """By URL what was told: sent, failed, given_up, waiting."""
        return list(self._ask("GET", "/webhooks"))

    def reset(self) -> None:
        """Back to the world as it was made."""
        self._ask("POST", "/reset")

    def _ask(self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None) -> Any:
        answer = self._client.request(method, path, json=body, params=params)
        if answer.status_code >= 400:
            raise SandboxError(f"{method} {path}: {answer.text}")
        return answer.json() if answer.content else None


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
