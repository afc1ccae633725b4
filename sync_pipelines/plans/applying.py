"""Carries out a plan, or refuses it when it is a plan for a world that is no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from sync_pipelines.config import KeptDocument
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.survey import Where
from sync_pipelines.plans.making import plan_of
from sync_pipelines.plans.moved import moved
from sync_pipelines.plans.plan import BLOCKED, REMOVED, Plan
from sync_pipelines.plans.sentences import summary
from sync_pipelines.plans.world import World, looked_at
from sync_pipelines.project import Project
from sync_pipelines.store.configurations import Applying


class PlanRefused(ConfigurationError):
    """The plan was not carried out, and nothing was changed. `reasons` are sentences."""

    def __init__(self, message: str, reasons: Sequence[str]) -> None:
        super().__init__("\n".join((message, *(f"  {reason}" for reason in reasons))))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """`version` is in effect now. `asked`: by sync and object, for how many customers work was made due."""

    version: int
    tables: int
    asked: dict[tuple[str, str], int]


def apply_plan(project: Project, plan: Plan, *, actor: str = "system") -> Applied:
    """Do exactly what the plan says: tables, then the new version and what is due, in one transaction of the store.

    The world is looked at again while nobody else can apply. PlanRefused when it moved, or when something stands in the
    way. Tables that were made before an error stay; a new plan goes on from there.
    """
    with project.store.configurations.applying() as applying, looked_at(project, plan.only) as world:
        now = plan_of(world, plan.actor)
        if now.digest != plan.digest:
            reasons = moved(plan, now, project.store)
            raise PlanRefused("The plan is of another world; nothing was done. Make a new one. What moved:", reasons)
        if now.problems:
            raise PlanRefused("The plan cannot be carried out; nothing was done. In the way:", now.problems)
        if not now.changes:
            return Applied(version=now.basis.in_effect, tables=0, asked={})
        tables = _make_tables(world, now)
        version = applying.record(
            parts=world.after, documents=_documents(world), writes=world.writes(), summary=summary(now), actor=actor
        )
        removed = [each.name for each in now.documents if each.kind == "sync" and each.action == REMOVED]
        renamed = [each.was for each in now.documents if each.kind == "sync" and each.was]
        applying.plan(world.syncs, {sync.name: project.mark(sync.name) for sync in world.syncs}, [*removed, *renamed])
        return Applied(version=version, tables=tables, asked=_ask(applying, now, actor))


def _make_tables(world: World, plan: Plan) -> int:
    made = 0
    for change in plan.tables:
        if change.action == BLOCKED or not change.statements:
            continue
        for schema in change.schemas:
            where = Where(destination=change.destination, database=change.database, schema=schema)
            world.make_ready(where, world.wanted_tables[where][change.table])
            made += 1
    return made


def _ask(applying: Applying, plan: Plan, actor: str) -> dict[tuple[str, str], int]:
    asked: dict[tuple[str, str], int] = {}
    for read in plan.reads:
        if read.caused:
            key = (read.sync, read.object)
            whom = applying.ask(read.sync, read.customers, [read.object], actor)
            asked[key] = asked.get(key, 0) + len(whom)
    return asked


def _documents(world: World) -> list[KeptDocument]:
    """As written; or of some syncs only, those laid over the documents in effect."""
    written = world.project.configuration.documents
    if not world.only:
        return list(written)
    chosen = {("syncs", name) for name in world.only}
    for sync in world.syncs:
        chosen |= {("providers", sync.provider), ("destinations", sync.destination)}
    kept = [
        each for each in (world.in_effect.documents if world.in_effect else ()) if (each.kind, each.name) not in chosen
    ]
    return kept + [each for each in written if (each.kind, each.name) in chosen]
