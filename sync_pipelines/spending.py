"""What one batch of work spent of its accounts' API budgets: holds are remembered at once, counts at its end."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sync_pipelines.engine.inbound import Work
from sync_pipelines.engine.side_by_side import Session
from sync_pipelines.model.budget import Hold, Sighting, Terms
from sync_pipelines.model.run import SyncRun
from sync_pipelines.store.budgets import Budgets


class Spending:
    """Takes the outcomes of the batch as they come, from one thread."""

    def __init__(self, budgets: Budgets, work: Sequence[Work], terms: Mapping[str, Terms]) -> None:
        self._budgets = budgets
        self._terms = terms
        self._ids = {item.connection.customer_id: item.connection.id for item in work}
        self._seen: dict[int, Sighting] = {}
        self._held: dict[int, Hold] = {}

    def take(self, runs: Sequence[SyncRun]) -> None:
        """Add outcomes. Holds that begin with them are stored now, since other processes may be about to start."""
        begun: dict[int, Sighting] = {}
        for run in runs:
            id = self._ids[run.customer_id]
            self._add(id, run)
            known = self._held.get(id)
            if run.hold is not None and (known is None or known.until < run.hold.until):
                self._held[id] = run.hold
                begun[id] = Sighting(connection_id=id, at=run.finished_at, calls=0, hold=run.hold)
        self._budgets.record(list(begun.values()), self._terms)

    def _add(self, id: int, run: SyncRun) -> None:
        before = self._seen.get(id, Sighting(connection_id=id, at=run.finished_at, calls=0))
        used, allowed = before.used, before.allowed
        # Objects of an account end in any order: of what they were told last, the greatest count is the newest.
        if run.quota and (used is None or run.quota["used"] > used):
            used, allowed = run.quota["used"], run.quota["allowed"]
        self._seen[id] = replace(
            before, at=run.finished_at, calls=before.calls + run.vendor_calls, used=used, allowed=allowed
        )

    def record(self) -> None:
        """Store the counts of the whole batch."""
        self._budgets.record(list(self._seen.values()), self._terms)
        self._seen.clear()


class Sightings:
    """What sessions learnt that were opened for something else than a run, one or several for each connection."""

    def __init__(self, budgets: Budgets, terms: Mapping[str, Terms]) -> None:
        self._budgets = budgets
        self._terms = terms
        self._lock = threading.Lock()
        self._seen: dict[int, Sighting] = {}

    def add(self, connection_id: int, session: Session) -> None:
        """A session whose work is done. From any thread."""
        used, allowed = session.quota or (None, None)
        new = Sighting(
            connection_id=connection_id,
            at=datetime.now(UTC),
            calls=session.calls,
            used=used,
            allowed=allowed,
            hold=session.hold,
        )
        with self._lock:
            before = self._seen.get(connection_id)
            if before is not None:
                newest = before if new.used is None else new
                new = replace(
                    new,
                    calls=before.calls + new.calls,
                    used=newest.used,
                    allowed=newest.allowed,
                    hold=new.hold or before.hold,
                )
            self._seen[connection_id] = new

    def record(self) -> None:
        """Store all of it."""
        with self._lock:
            seen, self._seen = self._seen, {}
        self._budgets.record(list(seen.values()), self._terms)
