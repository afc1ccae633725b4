"""Sessions of the connect page: a link for one customer, the browser that opened it, its attempts to log in.

What a browser holds is a random text; only its SHA-256 is stored. Everything ends by itself.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, RowMapping, insert, select, update

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.provider import Account, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.audit import note
from sync_pipelines.store.connect_tables import connect_sessions
from sync_pipelines.store.credentials import CredentialsSafe

ATTEMPT_LIVES: Final = timedelta(minutes=15)
"""Long enough to find a password and a second factor."""

UNKNOWN, ENDED, USED, OTHER_BROWSER = "unknown", "ended", "used", "other browser"


class NoSession(Exception):
    """What a browser sent opens nothing. `reason`: unknown, ended, used or other browser."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class ConnectSession:
    """Who may connect what. `customer_title`: what the product calls the customer to people. `login_url`: the
    organisation's own login page. `return_url`: the product's page."""

    id: int
    customer_id: str
    customer_title: str | None
    provider: str
    environment: str
    login_url: str | None
    return_url: str | None
    actor: str
    link_ends_at: datetime
    ends_at: datetime | None

    @property
    def by(self) -> str:
        """How the audit names whoever uses it."""
        return f"connect page ({self.actor})"

    @property
    def customer(self) -> str:
        """How a page names the customer."""
        return self.customer_title or self.customer_id


_COLUMNS = [connect_sessions.c[name] for name in ConnectSession.__dataclass_fields__]


class ConnectSessions:
    """Every link that is made is audited."""

    def __init__(self, engine: Engine, safe: CredentialsSafe) -> None:
        self._engine = engine
        self._safe = safe

    def create(  # noqa: PLR0913 - what a link says
        self,
        customer_id: str,
        provider: str,
        *,
        lives: timedelta,
        environment: str = "production",
        customer_title: str | None = None,
        login_url: str | None = None,
        return_url: str | None = None,
        actor: str = "system",
    ) -> tuple[ConnectSession, Secret]:
        """A session that nobody has opened, and its link's token, which is told this once."""
        if reason := refusal_of_customer_id(customer_id):
            raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
        token = secrets.token_urlsafe(32)
        values = {
            "customer_id": customer_id,
            "customer_title": customer_title,
            "provider": provider,
            "environment": environment,
            "login_url": login_url,
            "return_url": return_url,
            "actor": actor,
            "link_hash": hashed(token),
            "link_ends_at": datetime.now(UTC) + lives,
        }
        with self._engine.begin() as database:
            row = database.execute(insert(connect_sessions).values(values).returning(*_COLUMNS)).mappings().one()
            note(
                database,
                actor=actor,
                action="connect link",
                subject=f"connection {customer_id}/{provider}",
                new={"environment": environment},
                customers=[customer_id],
            )
        return _session(row), Secret(token)

    def look(self, token: str, browser: str | None) -> tuple[ConnectSession, bool]:
        """The session of a link, and whether this browser has opened it already; nothing changes.

        `browser`: the cookie that it has. NoSession where the link cannot be opened by it.
        """
        own = connect_sessions.c.link_hash == hashed(token)
        query = select(*_COLUMNS, connect_sessions.c.browser_hash).where(own)
        with self._engine.connect() as database:
            found = database.execute(query).mappings().one_or_none()
        if found is None:
            raise NoSession(UNKNOWN)
        if found["browser_hash"] is None:
            if found["link_ends_at"] <= datetime.now(UTC):
                raise NoSession(ENDED)
            return _session(found), False
        if browser is None or found["browser_hash"] != hashed(browser):
            raise NoSession(USED)
        return self.of_browser(browser), True

    def open(self, token: str, browser: str | None, *, lives: timedelta) -> tuple[ConnectSession, Secret | None]:
        """The session of a link, and the cookie for the browser that opens it first; None for that browser later.

        `browser`: the cookie that it has. NoSession for any other browser, and where the link is too old.
        """
        now, cookie = datetime.now(UTC), secrets.token_urlsafe(32)
        first = update(connect_sessions).where(
            connect_sessions.c.link_hash == hashed(token),
            connect_sessions.c.link_ends_at > now,
            connect_sessions.c.browser_hash.is_(None),
        )
        first = first.values(browser_hash=hashed(cookie), ends_at=now + lives)
        with self._engine.begin() as database:
            row = database.execute(first.returning(*_COLUMNS)).mappings().one_or_none()
        if row is not None:
            return _session(row), Secret(cookie)
        return self.look(token, browser)[0], None

    def of_browser(self, cookie: str) -> ConnectSession:
        """The session that this browser has opened. NoSession where there is none, or it has ended."""
        return self._found(connect_sessions.c.browser_hash == hashed(cookie), connect_sessions.c.ends_at)

    def place(self, session: ConnectSession, environment: str, login_url: str | None) -> ConnectSession:
        """The session as the customer says where its organisation is."""
        self._change(session.id, environment=environment, login_url=login_url)
        return replace(session, environment=environment, login_url=login_url)

    def hand_over(self, session: ConnectSession) -> Secret:
        """A text with which one other window may begin an attempt; an earlier one works no more."""
        token = secrets.token_urlsafe(32)
        self._change(session.id, handover_hash=hashed(token))
        return Secret(token)

    def take_over(self, token: str) -> ConnectSession:
        """The session whose page handed this over; once. NoSession for anything else."""
        taken = update(connect_sessions).where(
            connect_sessions.c.handover_hash == hashed(token), connect_sessions.c.ends_at > datetime.now(UTC)
        )
        with self._engine.begin() as database:
            row = database.execute(taken.values(handover_hash=None).returning(*_COLUMNS)).mappings().one_or_none()
        if row is None:
            raise NoSession(UNKNOWN)
        return _session(row)

    def begin(self, session: ConnectSession) -> tuple[Secret, Secret]:
        """(state, the window's cookie) of an attempt to log in at the vendor; an earlier attempt ends.

        The cookie is a PKCE verifier too: 43 characters, known to that window alone.
        """
        state, cookie = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._change(
            session.id,
            state_hash=hashed(state),
            attempt_hash=hashed(cookie),
            attempt_ends_at=datetime.now(UTC) + ATTEMPT_LIVES,
            **_NOTHING_PENDING,
        )
        return Secret(state), Secret(cookie)

    def come_back(self, state: str, cookie: str | None) -> ConnectSession:
        """The session whose attempt this is; a state comes back once. NoSession for another browser's or an old one."""
        own = connect_sessions.c.state_hash == hashed(state)
        with self._engine.begin() as database:
            query = select(*_COLUMNS, connect_sessions.c.attempt_hash, connect_sessions.c.attempt_ends_at)
            row = database.execute(query.where(own).with_for_update()).mappings().one_or_none()
            if row is None:
                raise NoSession(UNKNOWN)
            if cookie is None or row["attempt_hash"] != hashed(cookie):
                raise NoSession(OTHER_BROWSER)
            if row["attempt_ends_at"] <= datetime.now(UTC):
                raise NoSession(ENDED)
            database.execute(update(connect_sessions).where(own).values(state_hash=None))
        return _session(row)

    def of_attempt(self, cookie: str) -> ConnectSession:
        """The session whose attempt this window has begun. NoSession where there is none, or it has ended."""
        return self._found(connect_sessions.c.attempt_hash == hashed(cookie), connect_sessions.c.attempt_ends_at)

    def keep_pending(self, session: ConnectSession, tokens: Tokens, account: Account) -> None:
        """Tokens of another account than the one before, until somebody has confirmed it."""
        sealed, key_id = self._safe.sealed(_about(session.id), tokens)
        told = {"id": account.id, "name": account.name}
        self._change(session.id, pending=sealed, pending_key_id=key_id, pending_account=told)

    def take_pending(self, session: ConnectSession) -> tuple[Tokens, Account] | None:
        """What was kept, which is then kept no longer; None where there is nothing."""
        own = connect_sessions.c.id == session.id
        columns = [connect_sessions.c[name] for name in _NOTHING_PENDING]
        with self._engine.begin() as database:
            sealed, key_id, account = database.execute(select(*columns).where(own).with_for_update()).one()
            database.execute(update(connect_sessions).where(own).values(**_NOTHING_PENDING))
        if sealed is None:
            return None
        return self._safe.opened(_about(session.id), sealed, key_id), Account(**account)

    def pending_of(self, customer_id: str) -> list[ConnectSession]:
        """A customer's sessions that keep tokens which nobody has confirmed."""
        own = (connect_sessions.c.customer_id == customer_id, connect_sessions.c.pending.is_not(None))
        with self._engine.connect() as database:
            return [_session(row) for row in database.execute(select(*_COLUMNS).where(*own)).mappings()]

    def pending_tokens(self, session: ConnectSession) -> Tokens | None:
        """What a session keeps, which it goes on to keep. SetupError where no key of the ring opens it."""
        columns = [connect_sessions.c[name] for name in ("pending", "pending_key_id")]
        with self._engine.connect() as database:
            sealed, key_id = database.execute(select(*columns).where(connect_sessions.c.id == session.id)).one()
        return None if sealed is None else self._safe.opened(_about(session.id), sealed, key_id)

    def _found(self, own: Any, ends_at: Any) -> ConnectSession:
        with self._engine.connect() as database:
            row = database.execute(select(*_COLUMNS, ends_at.label("until")).where(own)).mappings().one_or_none()
        if row is None:
            raise NoSession(UNKNOWN)
        if row["until"] <= datetime.now(UTC):
            raise NoSession(ENDED)
        return _session(row)

    def _change(self, id: int, **values: Any) -> None:
        with self._engine.begin() as database:
            database.execute(update(connect_sessions).where(connect_sessions.c.id == id).values(**values))


_NOTHING_PENDING: Final[dict[str, None]] = {"pending": None, "pending_key_id": None, "pending_account": None}


def hashed(text: str) -> str:
    """A plain digest is enough for 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _about(id: int) -> str:
    return f"connect session {id}"


def _session(row: RowMapping) -> ConnectSession:
    return ConnectSession(**{name: row[name] for name in ConnectSession.__dataclass_fields__})
