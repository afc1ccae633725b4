"""Puts connections into a standing that syncing would take hours to bring about."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from sync_pipelines.store.tables import budgets, completeness, connections, due, progress, sync_states


class Standing:
    """Writes to the tables as syncing does. Moments are given as minutes from now: negative ones have passed."""

    def __init__(self, engine):
        self._engine = engine
        self.now = datetime.now(UTC)

    def at(self, minutes):
        return self.now + timedelta(minutes=minutes)

    def tried(self, connection, object_name="contact", sync="crm", *, failing=0, minutes=-10, **rest):
        """An object was tried ten times, the last `failing` in vain."""
        values = {
            "sync": sync,
            "object": object_name,
            "connection_id": connection.id,
            "last_attempt_at": self.at(minutes),
            "last_status": "error" if failing else "success",
            "last_success_at": self.at(minutes - 60 * failing),
            "last_error_at": self.at(minutes) if failing else None,
            "last_error_type": "vendor_error" if failing else None,
            "last_error_message": "The vendor is out." if failing else "",
            "failures_in_row": failing,
            "attempts": 10,
            "successes": 10 - failing,
            "records": 100,
            "seconds": 20.0,
            "calls": 30,
            "today": self.now.date(),
            "attempts_today": 4,
            "failures_today": failing,
            "records_today": 7,
            "calls_today": 12,
        } | rest
        self._write(upsert(progress).values(values).on_conflict_do_update(constraint="pk_progress", set_=values))

    def due(self, connection, sync="crm", **values):
        where = (due.c.sync == sync, due.c.connection_id == connection.id)
        self._write(update(due).where(*where).values(**values))

    def settled(self, connection, sync="crm", objects=("contact", "account")):
        """All is well: tried, and next in five minutes."""
        for name in objects:
            self.tried(connection, name, sync)
        self.due(connection, sync, scheduled_at=self.at(5))

    def state(self, state, sync="crm", reason=""):
        values = {"sync": sync, "state": state, "reason": reason, "actor": "test"}
        self._write(upsert(sync_states).values(values).on_conflict_do_update(constraint="pk_sync_states", set_=values))

    def connection(self, connection, **values):
        self._write(update(connections).where(connections.c.id == connection.id).values(**values))

    def budget(self, connection, used, allowed, *, seen=-1, **rest):
        row = {"connection_id": connection.id, "used": used, "allowed": allowed, "seen_at": self.at(seen)} | rest
        self._write(insert(budgets).values(row))

    def gap(self, connection, object_name="contact", sync="crm", status="gap"):
        row = {"sync": sync, "object": object_name, "connection_id": connection.id, "checked_at": self.at(-1)}
        self._write(insert(completeness).values(**row, status=status, message="3 of 10 are missing"))

    def _write(self, statement):
        with self._engine.begin() as database:
            database.execute(statement)
