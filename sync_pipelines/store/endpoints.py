"""Endpoints: who wants to know what, and whether they can be reached. URLs and signing secrets are sealed."""

import base64
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.event import EVENT_TYPES
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.audit import note
from sync_pipelines.store.outbox_tables import endpoints
from sync_pipelines.store.requests import KeyUsed
from sync_pipelines.store.sealing import KeyRing
from sync_pipelines.store.storable import storable

log = logging.getLogger(__name__)

WEBHOOK: Final = "webhook"
SLACK: Final = "slack"
ZAPIER: Final = "zapier"
KINDS: Final = (WEBHOOK, SLACK, ZAPIER)

_BY_KEY: Final = UUID("0b8f2f4e-6f0c-4f0e-9a55-9d2f7a1c4e63")
"""Where the id of an endpoint comes from that a key stands for."""

LONGEST_OVERLAP: Final = timedelta(days=7)
MOST_SECRETS: Final = 10
"""That sign at once: each is a part of a header."""
MOST: Final = 200
"""Endpoints of one customer, and those for all customers: every event is written down for each that wants it."""


class NoEndpoint(ConfigurationError):
    """There is none of this id."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`customer_id` None: events of all customers, and those of no customer. `shown_url` tells no secret. `failures`:
    failed attempts in a row since `failing_since`. `held_until`: nothing is sent before. `former_until`: the secret
    before the current one signs too."""

    id: UUID
    customer_id: str | None
    kind: str
    shown_url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str
    failures: int
    failing_since: datetime | None
    held_until: datetime | None
    delivered_at: datetime | None
    former_until: datetime | None
    actor: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Address:
    """What is sealed of an endpoint: where it is, and with what it is signed, newest first (webhooks alone). `until`:
    when each of them ends but the first, which does not."""

    url: Secret
    signing: tuple[Secret, ...] = ()
    until: tuple[datetime, ...] = ()


_COLUMNS = [endpoints.c[field.name] for field in fields(Endpoint)]
_TOLD = ("kind", "shown_url", "description", "events", "enabled", "customer_id")


class Endpoints:
    """Every change is audited. NoEndpoint for an id that there is not."""

    def __init__(self, engine: Engine, ring: KeyRing) -> None:
        self._engine = engine
        self._ring = ring

    def create(self, url: str, events: Sequence[str], **rest: Any) -> tuple[Endpoint, Secret | None]:
        """A new one, and its signing secret, which is told this once; None for the kinds that are not signed.

        As `create_once`, without a key.
        """
        made, secret, _ = self.create_once(None, url, events, **rest)
        return made, secret

    def create_once(
        self,
        key: str | None,
        url: str,
        events: Sequence[str],
        *,
        kind: str = WEBHOOK,
        customer_id: str | None = None,
        description: str = "",
        actor: str = "system",
    ) -> tuple[Endpoint, Secret | None, bool]:
        """The endpoint, its signing secret, and whether this call has made it.

        A key that comes again gives what it made, secret and all, as long as that is there and still as it is wanted;
        KeyUsed otherwise. The URL is taken as it is: `notify.subscribing` looks at it first.
        """
        if customer_id is not None and (reason := refusal_of_customer_id(customer_id)):
            raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
        id = uuid4() if key is None else uuid5(_BY_KEY, key)
        secret = new_secret() if kind == WEBHOOK else None
        wanted = {
            "customer_id": customer_id,
            "kind": kind,
            "description": storable(description, 1_000),
            "events": _event_types(events),
        }
        sealed = self._sealed(id, Address(url=Secret(url), signing=(secret,) if secret else ()))
        values = {"id": id, **wanted, "shown_url": _shown(url, kind), "actor": actor, **sealed}
        with self._engine.begin() as database:
            insertion = insert(endpoints).values(values).on_conflict_do_nothing(index_elements=["id"])
            row = database.execute(insertion.returning(*_COLUMNS)).mappings().one_or_none()
            if row is None:
                return *self._made_before(database, id, url, wanted), False
            _refuse_too_many(database, customer_id)
            made = _endpoint(row)
            _note(database, actor, "create", None, made)
        return made, secret, True

    def _made_before(
        self, database: Database, id: UUID, url: str, wanted: Mapping[str, Any]
    ) -> tuple[Endpoint, Secret | None]:
        known, address = _one(database, id, lock=True), self._locked_address(database, id)
        same = all(
            getattr(known, name) == value for name, value in {**wanted, "events": tuple(wanted["events"])}.items()
        )
        if not same or address.url.reveal() != url:
            raise KeyUsed(
                "This Idempotency-Key has made an endpoint that is not as this request wants it. Take a new key for "
                "another endpoint, or change that one."
            )
        return known, address.signing[0] if address.signing else None

    def page(
        self,
        *,
        customer_id: str | None = None,
        kind: str | None = None,
        after: tuple[datetime, UUID] | None = None,
        limit: int = 1_000,
    ) -> list[Endpoint]:
        """In the order in which they were made. `customer_id`: the customer's own. `after`: behind the one that was
        made then."""
        query = select(*_COLUMNS).order_by(endpoints.c.created_at, endpoints.c.id).limit(limit)
        for column, wanted in ((endpoints.c.customer_id, customer_id), (endpoints.c.kind, kind)):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            query = query.where(tuple_(endpoints.c.created_at, endpoints.c.id) > tuple_(*after))
        with self._engine.connect() as database:
            return [_endpoint(row) for row in database.execute(query).mappings()]

    def get(self, id: UUID) -> Endpoint:
        with self._engine.connect() as database:
            return _one(database, id)

    def unwell(self) -> Sequence[Endpoint]:
        """Those that fail or are disabled, the longest first."""
        query = select(*_COLUMNS).where(or_(endpoints.c.failures > 0, ~endpoints.c.enabled))
        with self._engine.connect() as database:
            return [_endpoint(row) for row in database.execute(query.order_by(endpoints.c.failing_since)).mappings()]

    def some(self, ids: Sequence[UUID]) -> Sequence[Endpoint]:
        """Those of these ids that there are."""
        with self._engine.connect() as database:
            query = select(*_COLUMNS).where(endpoints.c.id == func.any(list(ids)))
            return [_endpoint(row) for row in database.execute(query).mappings()]

    def addresses(self, ids: Sequence[UUID]) -> Mapping[UUID, Address]:
        """Where they are and with what they are signed now. An older secret counts until its time is over.

        One that no key of the ring opens is left out, and the log says so: it must not hold up the others.
        """
        columns = [endpoints.c[name] for name in ("id", "sealed", "key_id", "former_until")]
        query = select(*columns).where(endpoints.c.id == func.any(list(ids)))
        found = {}
        with self._engine.connect() as database:
            for row in database.execute(query).mappings():
                try:
                    found[row["id"]] = self._address(row)
                except ConfigurationError as problem:
                    log.error("Nothing can be sent to endpoint %s: %s", row["id"], problem)
        return found

    def update(
        self,
        id: UUID,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        actor: str = "system",
    ) -> Endpoint:
        """Change what is given. Enabling begins anew: earlier failures are forgotten, and what waits is sent."""
        values: dict[str, Any] = {}
        if events is not None:
            values["events"] = _event_types(events)
        if description is not None:
            values["description"] = storable(description, 1_000)
        if enabled is not None:
            values |= {"enabled": enabled, "disabled_reason": "" if enabled else f"by {actor}"}
            values |= {"failures": 0, "failing_since": None, "held_until": None} if enabled else {}
        with self._engine.begin() as database:
            old = _one(database, id, lock=True)
            if url is not None:
                opened = self._locked_address(database, id)
                values["shown_url"] = _shown(url, old.kind)
                values |= self._sealed(id, replace(opened, url=Secret(url)))
            return _changed(database, old, values, actor, "update") if values else old

    def rotate(self, id: UUID, overlap: timedelta, *, actor: str = "system") -> Secret:
        """A new signing secret, which is told this once. Those before it sign as well, until the overlap is over, or
        until they end by an earlier one.

        ConfigurationError for an endpoint that is not signed, or has got MOST_SECRETS within their overlaps.
        """
        if not timedelta() <= overlap <= LONGEST_OVERLAP:
            raise ConfigurationError(f"Two secrets can hold for at most {LONGEST_OVERLAP.days} days.")
        secret = new_secret()
        with self._engine.begin() as database:
            old = _one(database, id, lock=True)
            if old.kind != WEBHOOK:
                raise ConfigurationError(f"What is sent to an endpoint of kind {old.kind} is not signed.")
            known = self._locked_address(database, id)
            end = datetime.now(UTC) + overlap
            until = (end, *(min(end, each) for each in known.until)) if overlap else ()
            address = Address(url=known.url, signing=(secret, *known.signing)[: 1 + len(until)], until=until)
            if len(address.signing) > MOST_SECRETS:
                raise ConfigurationError(
                    f"{MOST_SECRETS} secrets of this endpoint hold already, until {known.until[0]:%F %T}Z at the "
                    "latest: use the newest one, or rotate without an overlap, which ends all others."
                )
            values = {**self._sealed(id, address), "former_until": end}
            _changed(database, old, values, actor, "rotate")
        return secret

    def delete(self, id: UUID, *, actor: str = "system") -> None:
        """With its deliveries."""
        with self._engine.begin() as database:
            old = _one(database, id, lock=True)
            database.execute(delete(endpoints).where(endpoints.c.id == id))
            _note(database, actor, "delete", old, None)

    def _locked_address(self, database: Database, id: UUID) -> Address:
        columns = [endpoints.c[name] for name in ("id", "sealed", "key_id", "former_until")]
        query = select(*columns).where(endpoints.c.id == id).with_for_update()
        return self._address(database.execute(query).mappings().one())

    def _address(self, row: RowMapping) -> Address:
        """With the secrets that hold now."""
        opened = json.loads(self._ring.open(row["sealed"], key_id=row["key_id"], about=_about(row["id"])))
        newest, *former = (Secret(each) for each in opened["signing"]) if opened["signing"] else (None,)
        ends = [datetime.fromisoformat(each) for each in opened.get("until", ())]
        # Sealed by an earlier version, which kept one former secret.
        ends = ends or [row["former_until"]] * len(former)
        now = datetime.now(UTC)
        held = [(each, end) for each, end in zip(former, ends, strict=True) if end is not None and end > now]
        signing = () if newest is None else (newest, *(each for each, _ in held))
        return Address(url=Secret(opened["url"]), signing=signing, until=tuple(end for _, end in held))

    def _sealed(self, id: UUID, address: Address) -> dict[str, str]:
        written = {
            "url": address.url.reveal(),
            "signing": [each.reveal() for each in address.signing],
            "until": [each.isoformat() for each in address.until],
        }
        return {"sealed": self._ring.seal(json.dumps(written), about=_about(id)), "key_id": self._ring.sealing_key}


def new_secret() -> Secret:
    """For HMAC-SHA256, as Standard Webhooks writes it."""
    return Secret("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())


def _about(id: UUID) -> str:
    return f"endpoint {id}"


def _shown(url: str, kind: str) -> str:
    """Of a webhook all but its query; of Slack and Zapier the host: there the path is the secret."""
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if kind != WEBHOOK:
        return storable(f"{host}/***", 500)
    return storable(f"{host}{parts.path}{'?***' if parts.query else ''}", 500)


def _event_types(wanted: Sequence[str]) -> list[str]:
    if unknown := sorted(set(wanted) - EVENT_TYPES.keys()):
        raise ConfigurationError(f"There is no event {', '.join(unknown)}: use {', '.join(EVENT_TYPES)}.")
    if not wanted:
        raise ConfigurationError(f"An endpoint wants some event: give it some of {', '.join(EVENT_TYPES)}.")
    return sorted(set(wanted))


def _refuse_too_many(database: Database, customer_id: str | None) -> None:
    """The one that was just made counts."""
    mine = endpoints.c.customer_id.is_(None) if customer_id is None else endpoints.c.customer_id == customer_id
    if database.execute(select(func.count()).select_from(endpoints).where(mine)).scalar_one() > MOST:
        raise ConfigurationError(f"There are {MOST} endpoints of this customer, or for all: remove one first.")


def _one(database: Database, id: UUID, *, lock: bool = False) -> Endpoint:
    query = select(*_COLUMNS).where(endpoints.c.id == id)
    row = database.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NoEndpoint(f"There is no endpoint {id}: `sync-pipelines webhook list` shows them.")
    return _endpoint(row)


def _changed(database: Database, old: Endpoint, values: Mapping[str, Any], actor: str, action: str) -> Endpoint:
    change = update(endpoints).where(endpoints.c.id == old.id).values(**values, updated_at=func.now())
    new = _endpoint(database.execute(change.returning(*_COLUMNS)).mappings().one())
    _note(database, actor, action, old, new)
    return new


def _note(database: Database, actor: str, action: str, old: Endpoint | None, new: Endpoint | None) -> None:
    before = {name: getattr(old, name) for name in _TOLD} if old else None
    after = {name: getattr(new, name) for name in _TOLD} if new else None
    if before is not None and after is not None:
        differ = [name for name in _TOLD if before[name] != after[name]]
        before, after = ({name: side[name] for name in differ} for side in (before, after))
    whose = new or old
    assert whose is not None
    subject, whom = f"endpoint {whose.id}", [whose.customer_id]
    note(database, actor=actor, action=action, subject=subject, old=before, new=after, customers=whom)


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(**{**row, "events": tuple(row["events"])})
