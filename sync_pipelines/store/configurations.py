"""Versions of the configuration: every one that was applied is kept, none is ever changed, the newest is in effect."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, Select, func, insert, select, text

from sync_pipelines.config.configuration import KeptDocument
from sync_pipelines.config.snapshot import digest_of
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync
from sync_pipelines.store.asking import ask
from sync_pipelines.store.audit import note
from sync_pipelines.store.planning import plan
from sync_pipelines.store.tables import configuration_versions, due, planned

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('sync_pipelines apply', 0))")


@dataclass(frozen=True, kw_only=True)
class AppliedVersion:
    """`parts`: what the configuration means. `writes`: by sync and object, {"table": ..., "destination": ...}.

    `summary`: what it changed, in sentences. `applied_at` is the store's clock.
    """

    version: int
    applied_at: datetime
    actor: str
    digest: str
    parts: Mapping[str, Mapping[str, Any]]
    documents: tuple[KeptDocument, ...]
    writes: Mapping[str, Mapping[str, Mapping[str, str]]]
    summary: tuple[str, ...]


class Applying:
    """The transaction of one apply. Nobody else applies until it ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        *,
        parts: Mapping[str, Mapping[str, Any]],
        documents: Sequence[KeptDocument],
        writes: Mapping[str, Mapping[str, Mapping[str, str]]],
        summary: Sequence[str],
        actor: str,
    ) -> int:
        """The number of the new version."""
        query = select(func.coalesce(func.max(configuration_versions.c.version), 0))
        number = int(self._database.execute(query).scalar_one()) + 1
        values = {
            "version": number,
            "actor": actor,
            "digest": digest_of(parts),
            "parts": parts,
            "documents": [asdict(each) for each in documents],
            "writes": writes,
            "summary": list(summary),
        }
        self._database.execute(insert(configuration_versions).values(values))
        note(
            self._database,
            actor=actor,
            action="apply",
            subject="configuration",
            old={"version": number - 1} if number > 1 else None,
            new={"version": number, "digest": values["digest"], "summary": list(summary)[:100]},
        )
        return number

    def plan(self, syncs: Sequence[Sync], marks: Mapping[str, str], removed: Sequence[str]) -> None:
        """Bring what is planned in line with these syncs; nothing of the `removed` ones is due any more."""
        self._database.execute(planned.delete().where(planned.c.sync == func.any(list(removed))))
        plan(self._database, syncs, None, datetime.now(UTC), whole=False, marks=marks)

    def ask(self, sync: str, customers: Sequence[str], objects: Sequence[str], actor: str) -> tuple[str, ...]:
        """Make these objects due now; for whom they are. Who is not planned (expired) is left."""
        covered = select(due.c.customer_id).where(due.c.sync == sync, due.c.customer_id == func.any(list(customers)))
        known = self._database.execute(covered).scalars().all()
        if not known:
            return ()
        return ask(self._database, sync, known, objects, full=False, actor=actor, now=datetime.now(UTC)).customers


class Configurations:
    """Reads the versions, and gives the right to add one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self) -> AppliedVersion | None:
        """The version in effect; None when nothing was ever applied."""
        found = self._read(_versions().limit(1))
        return found[0] if found else None

    def get(self, version: int) -> AppliedVersion:
        """ConfigurationError naming the versions that there are."""
        found = self._read(_versions().where(configuration_versions.c.version == version))
        if found:
            return found[0]
        newest = self.newest()
        known = f"They count from 1 to {newest.version}." if newest else "Nothing was applied yet."
        raise ConfigurationError(f"There is no version {version} of the configuration. {known}")

    def history(self, limit: int = 100) -> list[AppliedVersion]:
        """Newest first."""
        return self._read(_versions().limit(limit))

    def now(self) -> datetime:
        """The store's clock."""
        with self._engine.connect() as database:
            moment: datetime = database.execute(select(func.now())).scalar_one()
            return moment

    @contextmanager
    def applying(self) -> Iterator[Applying]:
        """Waits until nobody else applies; all that is done in the block is done together, or not at all."""
        with self._engine.begin() as database:
            database.execute(_LOCK)
            yield Applying(database)

    def planned(self) -> dict[str, RowMapping]:
        """By sync, how its work is planned at the moment."""
        with self._engine.connect() as database:
            return {row["sync"]: row for row in database.execute(select(planned)).mappings()}

    def covered(self) -> dict[str, set[str]]:
        """By sync, the customers of whom work is planned; one query."""
        query = select(due.c.sync, func.array_agg(due.c.customer_id)).group_by(due.c.sync)
        with self._engine.connect() as database:
            return {sync: set(customers) for sync, customers in database.execute(query)}

    def _read(self, query: Select[Any]) -> list[AppliedVersion]:
        with self._engine.connect() as database:
            return [_version(row) for row in database.execute(query).mappings()]


def _versions() -> Select[Any]:
    return select(configuration_versions).order_by(configuration_versions.c.version.desc())


def _version(row: RowMapping) -> AppliedVersion:
    return AppliedVersion(
        **{
            **row,
            "documents": tuple(KeptDocument(**each) for each in row["documents"]),
            "summary": tuple(row["summary"]),
        }
    )
