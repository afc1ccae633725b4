"""The last count of each object of each connection at the source and in the destination."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.completeness import GAP, UNKNOWN, Comparison
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import completeness, connections

LONGEST_MESSAGE = 1_000
LISTED = 100
"""Customers of each status that a standing names."""

_RECORD = text(
    """
    INSERT INTO completeness AS kept
      (sync, object, connection_id, checked_at, status, source_count, destination_count, message)
    SELECT new.sync, new.object, new.connection_id, new.checked_at, new.status, new.source_count,
      new.destination_count, new.message
    FROM jsonb_to_recordset(:rows) AS new
      (sync text, object text, connection_id bigint, checked_at timestamptz, status text, source_count bigint,
       destination_count bigint, message text)
    JOIN connections ON connections.id = new.connection_id
    ON CONFLICT (sync, object, connection_id) DO UPDATE SET
      checked_at = EXCLUDED.checked_at,
      status = CASE WHEN EXCLUDED.status = 'unknown' AND kept.status = 'gap' THEN 'gap' ELSE EXCLUDED.status END,
      source_count = CASE WHEN EXCLUDED.status = 'unknown' AND kept.status = 'gap' THEN kept.source_count
        ELSE EXCLUDED.source_count END,
      destination_count = CASE WHEN EXCLUDED.status = 'unknown' AND kept.status = 'gap' THEN kept.destination_count
        ELSE EXCLUDED.destination_count END,
      message = CASE WHEN EXCLUDED.status = 'unknown' AND kept.status = 'gap'
        THEN split_part(kept.message, E'\n', 1) || E'\n' || EXCLUDED.message ELSE EXCLUDED.message END,
      repair_asked_at = CASE WHEN EXCLUDED.status <> 'complete' THEN kept.repair_asked_at END
    """
).bindparams(bindparam("rows", type_=JSONB))
"""Of those that are still connected. The message of a gap is one line; why it was not counted again is the second."""

_NO_GAP_ANY_MORE = text(
    """
    UPDATE completeness SET status = 'unknown', repair_asked_at = NULL
    FROM jsonb_to_recordset(:rows) AS new (sync text, object text, connection_id bigint, countable boolean)
    WHERE completeness.sync = new.sync AND completeness.object = new.object
      AND completeness.connection_id = new.connection_id AND completeness.status = 'gap' AND NOT new.countable
    """
).bindparams(bindparam("rows", type_=JSONB))

_SUMS = text(
    """
    SELECT object, count(*) FILTER (WHERE status = 'complete') AS complete,
      count(*) FILTER (WHERE status = 'gap') AS gaps,
      count(*) FILTER (WHERE status = 'unknown') AS unknown,
      COALESCE(sum(source_count) FILTER (WHERE destination_count IS NOT NULL), 0)::bigint AS source,
      COALESCE(sum(destination_count) FILTER (WHERE source_count IS NOT NULL), 0)::bigint AS destination
    FROM completeness WHERE sync = :sync GROUP BY object
    """
)
_WORST = text(
    """
    SELECT * FROM (
        SELECT completeness.*, connections.customer_id, row_number() OVER (
            PARTITION BY object, completeness.status
            ORDER BY abs(source_count - destination_count) DESC NULLS LAST, connections.customer_id
        ) AS place
        FROM completeness JOIN connections ON connections.id = connection_id
        WHERE sync = :sync AND completeness.status <> 'complete'
    ) AS ranked
    WHERE place <= :most ORDER BY object, place
    """
)

_REJECTED = text(
    """
    SELECT asked.customer_id, COALESCE(sum(runs.rejected), 0)::bigint
    FROM unnest(CAST(:customers AS text[])) AS asked (customer_id)
    LEFT JOIN LATERAL (
        SELECT max(id) AS id FROM runs
        WHERE sync = :sync AND object = :object AND customer_id = asked.customer_id AND status = 'success' AND "full"
    ) AS complete ON true
    LEFT JOIN LATERAL (
        SELECT max(id) AS id FROM runs
        WHERE sync = :sync AND object = :object AND customer_id = asked.customer_id AND status = 'success'
          AND id < complete.id AND run_id NOT LIKE 'live-%'
    ) AS before ON true
    LEFT JOIN runs ON runs.sync = :sync AND runs.object = :object AND runs.customer_id = asked.customer_id
      AND runs.id > COALESCE(before.id, 0) AND runs.run_id NOT LIKE 'live-%'
    GROUP BY asked.customer_id
    """
)
"""From the last full read on; it may have taken several runs, of which only the last was a success. What events led to
(see live_runs) comes between, and a record that is refused there is refused by the read too."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the newest counts of one object come to.

    `source` and `destination` are sums of what was counted on both sides. `gaps` and `unknown`: the numbers; the first
    of them, the largest gaps before others, are in `largest_gaps` and `not_counted`.
    """

    complete: int = 0
    gaps: int = 0
    unknown: int = 0
    source: int = 0
    destination: int = 0
    largest_gaps: tuple[Comparison, ...] = ()
    not_counted: tuple[Comparison, ...] = ()

    @property
    def customers(self) -> int:
        return self.complete + self.gaps + self.unknown


class Completeness:
    """Recorded by whoever counts. A gap stays one until both sides are counted and equal, or nobody can count them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, found: Sequence[Comparison]) -> None:
        """Keep these as the newest of their connections and objects.

        What could not be told leaves a gap that was found before as it is, with both reasons. What cannot be counted
        at all ends it, since no repair could ever be seen to mend it.
        """
        if not found:
            return
        rows = [_row(each) for each in sorted(found, key=lambda one: (one.connection_id, one.object))]
        with self._engine.begin() as database:
            if uncountable := [row for row in rows if not row["countable"]]:
                database.execute(_NO_GAP_ANY_MORE, {"rows": uncountable})
            database.execute(_RECORD, {"rows": rows})

    def list(
        self,
        sync: str,
        *,
        object: str | None = None,
        customers: Sequence[str] | None = None,
        status: str | None = None,
    ) -> list[Comparison]:
        """What matches everything given, by object and customer."""
        query = (
            select(completeness, connections.c.customer_id)
            .join(connections, connections.c.id == completeness.c.connection_id)
            .where(completeness.c.sync == sync)
            .order_by(completeness.c.object, connections.c.customer_id)
        )
        for column, wanted in ((completeness.c.object, object), (completeness.c.status, status)):
            if wanted is not None:
                query = query.where(column == wanted)
        if customers is not None:
            query = query.where(connections.c.customer_id == func.any(list(customers)))
        with self._engine.connect() as database:
            return [_comparison(row) for row in database.execute(query).mappings()]

    def standings(self, sync: str) -> dict[str, Standing]:
        """By object, of those that were ever counted."""
        with self._engine.connect() as database:
            sums = database.execute(_SUMS, {"sync": sync}).mappings().all()
            rows = database.execute(_WORST, {"sync": sync, "most": LISTED}).mappings().all()
        worst = [_comparison(row) for row in rows]
        return {
            row["object"]: Standing(
                largest_gaps=tuple(one for one in worst if (one.object, one.status) == (row["object"], GAP)),
                not_counted=tuple(one for one in worst if (one.object, one.status) == (row["object"], UNKNOWN)),
                **{name: row[name] for name in ("complete", "gaps", "unknown", "source", "destination")},
            )
            for row in sums
        }

    def keep_only(self, sync: str, object: str, connection_ids: Sequence[int]) -> None:
        """Forget what was counted of connections whose object the sync does not cover any more."""
        with self._engine.begin() as database:
            database.execute(
                delete(completeness).where(
                    completeness.c.sync == sync,
                    completeness.c.object == object,
                    completeness.c.connection_id != func.all(list(connection_ids)),
                )
            )

    def mark_asked(self, sync: str, object: str, connection_ids: Sequence[int], at: datetime) -> None:
        """Remember that full reads were asked for because of gaps."""
        change = update(completeness).where(
            completeness.c.sync == sync,
            completeness.c.object == object,
            completeness.c.connection_id == func.any(list(connection_ids)),
        )
        with self._engine.begin() as database:
            database.execute(change.values(repair_asked_at=at))

    def rejected(self, sync: str, object: str, customers: Sequence[str]) -> dict[str, int]:
        """Customer -> records rejected since its last full read began, those of that read among them."""
        values = {"sync": sync, "object": object, "customers": list(customers)}
        with self._engine.connect() as database:
            rows = database.execute(_REJECTED, values).all()
        return {row[0]: row[1] for row in rows}


def _row(each: Comparison) -> dict[str, Any]:
    return {
        "sync": each.sync,
        "object": each.object,
        "connection_id": each.connection_id,
        "checked_at": each.checked_at.isoformat(),
        "status": each.status,
        "source_count": each.source,
        "destination_count": each.destination,
        "message": storable(each.message, LONGEST_MESSAGE),
        "countable": each.countable,
    }


def _comparison(row: RowMapping) -> Comparison:
    return Comparison(
        sync=row["sync"],
        object=row["object"],
        customer_id=row["customer_id"],
        connection_id=row["connection_id"],
        checked_at=row["checked_at"],
        status=row["status"],
        source=row["source_count"],
        destination=row["destination_count"],
        message=row["message"],
        repair_asked_at=row["repair_asked_at"],
    )
