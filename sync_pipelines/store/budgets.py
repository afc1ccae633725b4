"""What vendors let the connected accounts do: the newest count, holds that all processes keep, use by the hour."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError

from sync_pipelines.model.budget import DAY, Budget, Hold, Point, Quota, Sighting, Terms, spendable
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import Retry
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import budgets, connections

RATE_OVER: Final = timedelta(hours=6)
"""The present rate is that of the last hours: long enough for hourly syncs, short enough for the time of day."""

Account: TypeAlias = tuple[str, str]
"""(vendor, account id), or (vendor, "connection 17") while the account is not known."""

_RECORD = text(
    """
    WITH present AS (
        SELECT seen.*
        FROM jsonb_to_recordset(:rows) AS seen (
            connection_id bigint, at timestamptz, calls bigint, used bigint, allowed bigint,
            held_until timestamptz, held_reason text
        )
        JOIN connections ON connections.id = seen.connection_id
        ORDER BY connections.id
        FOR KEY SHARE OF connections
    ), told AS (
        INSERT INTO budgets (connection_id, used, allowed, seen_at, held_until, held_reason)
        SELECT connection_id, used, allowed, CASE WHEN used IS NOT NULL THEN at END, held_until, held_reason
        FROM present
        WHERE used IS NOT NULL OR held_until IS NOT NULL
        ON CONFLICT (connection_id) DO UPDATE SET
            used = CASE WHEN excluded.seen_at >= COALESCE(budgets.seen_at, '-infinity') THEN excluded.used
                        ELSE budgets.used END,
            allowed = CASE WHEN excluded.seen_at >= COALESCE(budgets.seen_at, '-infinity') THEN excluded.allowed
                           ELSE budgets.allowed END,
            seen_at = GREATEST(budgets.seen_at, excluded.seen_at),
            held_reason = CASE WHEN excluded.held_until >= COALESCE(budgets.held_until, '-infinity')
                               THEN excluded.held_reason ELSE budgets.held_reason END,
            held_until = GREATEST(budgets.held_until, excluded.held_until)
    )
    INSERT INTO budget_points (connection_id, hour, seen_at, used, allowed, calls)
    SELECT connection_id, date_trunc('hour', at, 'UTC'), CASE WHEN used IS NOT NULL THEN at END, used, allowed, calls
    FROM present
    WHERE calls > 0
    ON CONFLICT (connection_id, hour) DO UPDATE SET
        used = CASE WHEN excluded.seen_at >= COALESCE(budget_points.seen_at, '-infinity') THEN excluded.used
                    ELSE budget_points.used END,
        allowed = CASE WHEN excluded.seen_at >= COALESCE(budget_points.seen_at, '-infinity') THEN excluded.allowed
                       ELSE budget_points.allowed END,
        seen_at = GREATEST(budget_points.seen_at, excluded.seen_at),
        calls = budget_points.calls + excluded.calls
    """
).bindparams(bindparam("rows", type_=JSONB))

_SEEN = text(
    """
    WITH wanted AS (
        SELECT id, provider, account_id FROM connections WHERE id = ANY(:ids)
        UNION
        SELECT id, provider, account_id FROM connections
        WHERE provider = ANY(:providers) AND account_id IN (SELECT account_id FROM connections WHERE id = ANY(:ids))
    )
    SELECT wanted.*, budgets.used, budgets.allowed, budgets.seen_at, budgets.held_until, budgets.held_reason,
           COALESCE(points.seen, '[]') AS seen
    FROM wanted
    LEFT JOIN budgets ON budgets.connection_id = wanted.id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(extract(epoch FROM seen_at), used, allowed)) AS seen
        FROM budget_points
        WHERE connection_id = wanted.id AND hour > CAST(:recent AS timestamptz) - interval '1 hour'
            AND used IS NOT NULL AND seen_at >= CAST(:recent AS timestamptz)
    ) AS points ON true
    """
)
"""What every connection of these accounts saw in the last hours."""

_SHARE = text(
    """
    WITH present AS (
        SELECT account.*
        FROM jsonb_to_recordset(:rows) AS account (
            connection_id bigint, used bigint, allowed bigint, seen_at timestamptz, held_until timestamptz,
            held_reason text, runs_out_at timestamptz
        )
        JOIN connections ON connections.id = account.connection_id
        ORDER BY connections.id
        FOR KEY SHARE OF connections
    )
    INSERT INTO budgets (connection_id, used, allowed, seen_at, held_until, held_reason, runs_out_at)
    SELECT connection_id, used, allowed, seen_at, held_until, held_reason, runs_out_at FROM present
    ON CONFLICT (connection_id) DO UPDATE SET
        (used, allowed, runs_out_at) = (
            SELECT CASE WHEN told.now THEN excluded.used ELSE budgets.used END,
                   CASE WHEN told.now THEN excluded.allowed ELSE budgets.allowed END,
                   CASE WHEN told.now THEN excluded.runs_out_at ELSE budgets.runs_out_at END
            FROM (SELECT excluded.seen_at >= COALESCE(budgets.seen_at, '-infinity') AS now) AS told
        ),
        seen_at = GREATEST(budgets.seen_at, excluded.seen_at),
        held_reason = CASE WHEN excluded.held_until > COALESCE(budgets.held_until, '-infinity')
                           THEN excluded.held_reason ELSE budgets.held_reason END,
        held_until = GREATEST(budgets.held_until, excluded.held_until)
    """
).bindparams(bindparam("rows", type_=JSONB))

_LOOK = text(
    """
    SELECT connections.id, connections.provider, connections.account_id,
           budgets.used, budgets.allowed, budgets.seen_at, budgets.held_until, budgets.held_reason,
           budgets.runs_out_at, COALESCE(points.calls, 0)::bigint AS calls
    FROM connections
    LEFT JOIN budgets ON budgets.connection_id = connections.id
    LEFT JOIN (
        SELECT connection_id, sum(calls) AS calls
        FROM budget_points
        WHERE hour > CAST(:yesterday AS timestamptz)
        GROUP BY connection_id
    ) AS points ON points.connection_id = connections.id
    WHERE CAST(:ids AS bigint[]) IS NULL OR connections.id = ANY(:ids) OR connections.account_id IN (
        SELECT account_id FROM connections WHERE id = ANY(:ids)
    )
    """
)


class Budgets:
    """Written by who works for an account, read by who is about to and by who looks at its health.

    `terms` are those of each configured provider, by its name. Connections of one vendor's account share its budget.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, sightings: Sequence[Sighting], terms: Mapping[str, Terms]) -> None:
        """Remember what was learnt, one sighting for each connection, in three statements.

        All connections of an account get what is known of it, and when its calls run out. Connections that are gone
        are passed over.
        """
        rows = [_row(each) for each in sightings if each.calls or each.hold is not None]
        if not rows:
            return
        try:
            with self._engine.begin() as database:
                database.execute(_RECORD, {"rows": rows})
            # Apart, so that two who record never hold what the other waits for.
            with self._engine.begin() as database:
                self._share(database, [each for each in sightings if each.used is not None or each.hold], terms)
        except OperationalError as error:
            raise Retry(
                "The store does not answer, so that the use of the accounts' API budgets could not be recorded: start "
                "it, or correct SYNC_PIPELINES_STORE_URL.",
                detail=str(error.orig),
            ) from error

    def _share(self, database: Database, sightings: Sequence[Sighting], terms: Mapping[str, Terms]) -> None:
        if not sightings:
            return
        now = max(each.at for each in sightings)
        scope = {"ids": [each.connection_id for each in sightings], "providers": list(terms), "recent": now - RATE_OVER}
        accounts = _by_account(database.execute(_SEEN, scope).mappings(), terms)
        shared = [one for rows in accounts.values() for one in _shared(rows, terms.get(rows[0]["provider"]), now)]
        database.execute(_SHARE, {"rows": shared})

    def holds(
        self, wanted: Sequence[Connection], terms: Mapping[str, Terms], *, now: datetime | None = None
    ) -> dict[int, Hold]:
        """The present holds of these connections, by connection id; one query."""
        now = now or datetime.now(UTC)
        accounts = {each.id: _account(_identity(each), terms) for each in wanted}
        query = (
            select(
                connections.c.id,
                connections.c.provider,
                connections.c.account_id,
                budgets.c.held_until,
                budgets.c.held_reason,
            )
            .join_from(budgets, connections)
            .where(
                budgets.c.held_until > now,
                (connections.c.id == func.any([*accounts]))
                | (connections.c.account_id == func.any([*{each.account_id for each in wanted if each.account_id}])),
            )
        )
        with self._engine.connect() as database:
            rows = database.execute(query).mappings().all()
        found: dict[Account, Hold] = {}
        for row in rows:
            account, hold = _account(row, terms), Hold(until=row["held_until"], reason=row["held_reason"])
            found[account] = max(found.get(account, hold), hold, key=lambda each: each.until)
        return {id: found[account] for id, account in accounts.items() if account in found}

    def budgets_of(
        self, ids: Sequence[int] | None, terms: Mapping[str, Terms], *, now: datetime | None = None
    ) -> dict[int, Budget]:
        """What is known of these connections' budgets, of all when `ids` is None; by connection id, one query."""
        now = now or datetime.now(UTC)
        scope = {"ids": None if ids is None else list(ids), "yesterday": now - DAY}
        with self._engine.connect() as database:
            accounts = _by_account(database.execute(_LOOK, scope).mappings(), terms)
        chosen = None if ids is None else set(ids)
        found: dict[int, Budget] = {}
        for rows in accounts.values():
            budget = _merged(rows, now)
            found |= {row["id"]: budget for row in rows if chosen is None or row["id"] in chosen}
        return found


def forecast(points: Iterable[Point], *, reserve: float, quota: Quota, now: datetime) -> datetime | None:
    """When everything but the reserve will be used, at the rate of these points: ours and others' calls alike.

    None if that is not before the vendor's period ends, or if the rate is not known yet. `now` if it has come to that.
    """
    seen = sorted(points, key=lambda point: point.seen_at)
    begins = None
    if not quota.rolling:
        # A count that falls is a new day's. When exactly it began is not known, so the later moment counts.
        falls = [number for number, (one, next) in enumerate(pairwise(seen), 1) if next.used < one.used]
        if falls:
            seen = seen[falls[-1] :]
            begins = seen[0].seen_at
    if not seen:
        return None
    first, last = seen[0], seen[-1]
    left = spendable(last.allowed, reserve) - last.used
    if left <= 0:
        return now
    gained, passed = last.used - first.used, last.seen_at - first.seen_at
    # Compared as numbers of calls, since at a very low rate the moment is beyond any calendar.
    ends_after = (begins or last.seen_at) + DAY - last.seen_at
    if gained <= 0 or left * passed >= gained * ends_after:
        return None
    return max(now, last.seen_at + left * passed / gained)


def _by_account(rows: Iterable[RowMapping], terms: Mapping[str, Terms]) -> dict[Account, list[RowMapping]]:
    accounts: dict[Account, list[RowMapping]] = {}
    for row in rows:
        accounts.setdefault(_account(row, terms), []).append(row)
    return accounts


def _told(rows: Sequence[RowMapping]) -> RowMapping | None:
    """The row with the vendor's newest count."""
    return max((row for row in rows if row["seen_at"] is not None), key=lambda row: row["seen_at"], default=None)


def _held(rows: Sequence[RowMapping], now: datetime) -> RowMapping | None:
    """The row with the longest hold that there is now."""
    held = (row for row in rows if row["held_until"] is not None and row["held_until"] > now)
    return max(held, key=lambda row: row["held_until"], default=None)


def _shared(rows: Sequence[RowMapping], terms: Terms | None, now: datetime) -> Iterator[dict[str, Any]]:
    """What each connection of an account is to know: the same."""
    told, held = _told(rows), _held(rows, now)
    points = [
        Point(seen_at=datetime.fromtimestamp(at, UTC), used=used, allowed=allowed)
        for row in rows
        for at, used, allowed in row["seen"]
    ]
    ends_at = forecast(points, reserve=terms.reserve, quota=terms.quota, now=now) if terms else None
    for row in rows:
        yield {
            "connection_id": row["id"],
            "used": told["used"] if told else None,
            "allowed": told["allowed"] if told else None,
            "seen_at": told["seen_at"].isoformat() if told else None,
            "held_until": held["held_until"].isoformat() if held else None,
            "held_reason": held["held_reason"] if held else "",
            "runs_out_at": ends_at.isoformat() if ends_at else None,
        }


def _merged(rows: Sequence[RowMapping], now: datetime) -> Budget:
    """One account's budget out of what each of its connections knows."""
    told, held = _told(rows), _held(rows, now)
    # As the view `health` reads it: a forecast of long ago is none.
    ends_at = told["runs_out_at"] if told and told["seen_at"] > now - RATE_OVER else None
    return Budget(
        used=told["used"] if told else None,
        allowed=told["allowed"] if told else None,
        seen_at=told["seen_at"] if told else None,
        held_until=held["held_until"] if held else None,
        held_reason=held["held_reason"] if held else "",
        calls=sum(row["calls"] for row in rows),
        runs_out_at=max(now, ends_at) if ends_at else None,
    )


def _identity(connection: Connection) -> dict[str, Any]:
    return {"id": connection.id, "provider": connection.provider, "account_id": connection.account_id}


def _account(row: Mapping[str, Any] | RowMapping, terms: Mapping[str, Terms]) -> Account:
    known = terms.get(row["provider"])
    return known.vendor if known else row["provider"], row["account_id"] or f"connection {row['id']}"


def _row(sighting: Sighting) -> dict[str, Any]:
    hold = sighting.hold
    return {
        "connection_id": sighting.connection_id,
        "at": sighting.at.isoformat(),
        "calls": sighting.calls,
        "used": sighting.used,
        "allowed": sighting.allowed,
        "held_until": hold.until.isoformat() if hold else None,
        "held_reason": storable(hold.reason, 1_000) if hold else "",
    }
