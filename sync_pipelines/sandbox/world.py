"""The invented world: accounts, their records, the clock and the tokens."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.calls import CallLog
from sync_pipelines.sandbox.clock import Clock, parse
from sync_pipelines.sandbox.customers import CLIENT_ID, CLIENT_SECRET, Customer, customers
from sync_pipelines.sandbox.faults import Faults
from sync_pipelines.sandbox.generation import fill
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import Row, Storage
from sync_pipelines.sandbox.telling import Telling

VERSION = "1"
"""Of the invented records: a folder made by another version is made anew."""

TOKEN_LIFE_MS = {"salesforce": 2 * 3_600_000, "hubspot": 1_800_000}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides every record: `sizes` ({customer: {object: n}}) win over the demo's own times `scale`.

    `epoch` (epoch ms, UTC): the world's now at its beginning; None takes the real time when it is made.
    """

    seed: int = 1
    scale: float = 1.0
    sizes: Mapping[str, Mapping[str, int]] | None = None
    epoch: int | None = None
    customers: int = 6

    def fingerprint(self) -> str:
        text = msgspec.json.encode([VERSION, self.seed, self.scale, self.sizes, self.customers], order="sorted")
        return sha256(text).hexdigest()


class World:
    """Everything the server serves. Not thread-safe: one thread (the server's) uses it at a time."""

    def __init__(self, folder: Path | None = None, recipe: Recipe | None = None) -> None:
        self.recipe = recipe or Recipe()
        self.storage = Storage(None if folder is None else _file_in(folder))
        self.accounts: dict[str, Account] = {}
        self.faults = Faults()
        self.telling = Telling()
        self.calls = CallLog()
        self.sessions: dict[str, Any] = {}
        self.codes: dict[str, Any] = {}
        """Codes of the login pages that were not redeemed yet."""
        self.purged: dict[int, Row] = {}
        """As they were: results that were made before stand still and go on showing them."""
        self.next_due: int | None = None
        self._committing: int | None = None
        self._numbers: dict[int, int] = {}
        self._untouched: int | None = None
        self._in_memory = folder is None
        self._as_made: Storage | None = None
        if self.storage.fact("fingerprint") != self.recipe.fingerprint() or self._other_epoch():
            self.epoch = Clock().now() if self.recipe.epoch is None else self.recipe.epoch
            self._make()
            self._begin()
        else:
            self.epoch = int(self.storage.fact("epoch") or 0)
            self.clock = Clock(int(self.storage.fact("clock offset") or 0))
            self._open_accounts()
            self.look_for_due()

    def close(self) -> None:
        self.telling.close()
        self.storage.close()
        if self._as_made is not None:
            self._as_made.close()

    def reset(self) -> None:
        """Everything as it was made: records, clock, faults, tokens and the log of calls."""
        if self.storage.version != self._untouched:
            self._make_again()
        self._begin()

    def account(self, name: str) -> Account | None:
        """By the customer's id or by the vendor's account id."""
        return self.accounts.get(name) or next((known for known in self.accounts.values() if known.id == name), None)

    def issue(self, account: Account, kind: str) -> str:
        """A new token. Access tokens end after the vendor's usual time."""
        text = secrets.token_urlsafe(48)
        if account.vendor == "salesforce":
            text = f"{account.id[:15]}!{text}" if kind == "access" else f"5Aep{text}"
        self.keep_token(account, kind, text)
        return text

    def keep_token(self, account: Account, kind: str, text: str) -> None:
        expires = self.clock.now() + TOKEN_LIFE_MS[account.vendor] if kind == "access" else None
        self.storage.execute(
            "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, 1)", (text, account.customer.id, kind, expires)
        )

    def holder(self, token: str, kind: str) -> tuple[Account | None, str]:
        """Whose token it is and its state: valid, expired, revoked or unknown."""
        found = self.storage.execute(
            "SELECT account, expires, valid FROM tokens WHERE token = ? AND kind = ?", (token, kind)
        ).fetchone()
        if found is None:
            return None, "unknown"
        name, expires, valid = found
        if not valid:
            return self.accounts[name], "revoked"
        if expires is not None and self.clock.now() >= expires:
            return self.accounts[name], "expired"
        return self.accounts[name], "valid"

    def peek_number(self, account: Account, spec: ObjectSpec) -> int:
        """The number that the next new record will get."""
        tbl = account.tables[spec.name]
        if tbl not in self._numbers:
            last = self.storage.last_number(tbl)
            self._numbers[tbl] = spec.first_number if last is None else last + spec.step
        return self._numbers[tbl]

    def reserve_number(self, account: Account, spec: ObjectSpec) -> int:
        number = self.peek_number(account, spec)
        self._numbers[account.tables[spec.name]] = number + spec.step
        return number

    def skip_past(self, account: Account, spec: ObjectSpec, number: int) -> None:
        """A record was made with an id of the caller's choice: new ones come after it."""
        if number >= self.peek_number(account, spec):
            self._numbers[account.tables[spec.name]] = number + spec.step

    @property
    def commit_time(self) -> int:
        """When a change that is made now became visible: at a late change's own time, however late it is made."""
        return self.clock.now() if self._committing is None else self._committing

    @contextmanager
    def committing(self, moment: int) -> Iterator[None]:
        """Changes in the block became visible at this time."""
        self._committing = moment
        try:
            yield
        finally:
            self._committing = None

    def look_for_due(self) -> None:
        """Note when the next late change becomes visible."""
        found = self.storage.execute("SELECT MIN(due) FROM pending").fetchone()[0]
        self.next_due = None if found is None else int(found)

    def revoke(self, token: str) -> None:
        """With a refresh token the account's access tokens end too."""
        account, _ = self.holder(token, "refresh")
        if account is not None:
            self.storage.execute(
                "UPDATE tokens SET valid = 0 WHERE account = ? AND kind = 'access'", (account.customer.id,)
            )
        self.end_token(token)

    def end_token(self, token: str) -> None:
        """It alone works no more, as an old refresh token that a new one replaces."""
        self.storage.execute("UPDATE tokens SET valid = 0 WHERE token = ?", (token,))

    def description(self) -> dict[str, Any]:
        """What a person or a program needs to connect to each customer. Holds the sandbox's own tokens."""
        return {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "seed": self.recipe.seed,
            "epoch": self.epoch,
            "customers": [self._describe(account) for account in self.accounts.values()],
        }

    def _describe(self, account: Account) -> dict[str, Any]:
        customer, seed = account.customer, self.recipe.seed
        paths = (
            {"login_path": "/salesforce/login", "api_path": f"/salesforce/{customer.account}"}
            if customer.vendor == "salesforce"
            else {"login_path": "/hubspot", "api_path": "/hubspot"}
        )
        both = ("Account", "Contact") if customer.vendor == "salesforce" else ("companies", "contacts")
        return {
            "id": customer.id,
            "title": customer.title,
            "vendor": customer.vendor,
            "environment": customer.environment,
            "account_id": customer.account,
            **paths,
            "access_token": customer.access_token(seed),
            "refresh_token": customer.refresh_token(seed),
            "own_app": list(customer.own_app),
            "meanings": {object: dict(customer.meanings) for object in both},
            "sizes": {name: customer.sizes.get(name, 0) for name in account.objects},
        }

    def remember_clock(self) -> None:
        """A later process that opens the folder goes on with this clock."""
        self.storage.remember("clock offset", str(self.clock.offset))

    def _other_epoch(self) -> bool:
        return self.recipe.epoch is not None and self.storage.fact("epoch") != str(self.recipe.epoch)

    def _make(self) -> None:
        """Fill the storage anew, for `epoch`."""
        self.storage.clear()
        self.storage.begin()
        self._open_accounts()
        for account in self.accounts.values():
            fill(self.storage, account, seed=self.recipe.seed, now=self.epoch)
        self.storage.remember("epoch", str(self.epoch))
        self.storage.remember("fingerprint", self.recipe.fingerprint())
        self.storage.commit()
        self._untouched = self.storage.version

    def _make_again(self) -> None:
        """What lies in memory is made once more from a copy, which a first reset keeps: the next ones cost little."""
        if self._as_made is not None:
            self.storage.become(self._as_made)
            self._untouched = self.storage.version
            return
        self._make()
        if self._in_memory:
            self._as_made = self.storage.copy()

    def _begin(self) -> None:
        """The state beside the records, as it is at the beginning."""
        self.clock = Clock() if self.recipe.epoch is None else Clock.beginning_at(self.recipe.epoch)
        self.remember_clock()
        self.faults.clear()
        self.telling.close()
        self.calls.clear()
        self.sessions.clear()
        self.codes.clear()
        self.purged.clear()
        self._numbers.clear()
        self.next_due = None
        self._open_accounts()
        self.storage.forget_passing()
        for account in self.accounts.values():
            self.keep_token(account, "access", account.customer.access_token(self.recipe.seed))
            self.keep_token(account, "refresh", account.customer.refresh_token(self.recipe.seed))

    def _open_accounts(self) -> None:
        self.accounts = {}
        for customer in customers(self.recipe.customers):
            sized = replace(customer, sizes=self._sizes(customer))
            objects = sized.objects()
            tables = {name: self.storage.table(sized.id, name) for name in objects}
            self.accounts[sized.id] = Account(customer=sized, objects=objects, tables=tables, described_at=self.epoch)

    def _sizes(self, customer: Customer) -> dict[str, int]:
        if self.recipe.sizes is not None:
            return dict(self.recipe.sizes.get(customer.id, {}))
        return {name: round(size * self.recipe.scale) for name, size in customer.sizes.items()}


def moment_of(value: str | int | None) -> int | None:
    """Epoch ms of what a caller wrote: ISO 8601, epoch ms, or nothing."""
    return value if value is None or isinstance(value, int) else parse(value)


def _file_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "world.sqlite"
