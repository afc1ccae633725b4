"""What is otherwise than when a plan was made."""

from collections.abc import Iterator, Mapping

from sync_pipelines.plans.plan import Plan, Read, TableChange
from sync_pipelines.plans.reads import shortened
from sync_pipelines.store import Store


def moved(plan: Plan, now: Plan, store: Store) -> list[str]:
    """Sentences; never empty for plans with different digests."""
    found = list(_of_configuration(plan, now, store))
    if not found:  # The rest would be its consequences.
        found = [*_of_world(plan, now, store), *_of_reads(plan, now), *_of_tables(plan, now)]
    if not found and plan.computed() != now.computed():
        found.append("Applying it now would do something else than the plan says.")
    return found


def _of_configuration(plan: Plan, now: Plan, store: Store) -> Iterator[str]:
    if plan.basis.configuration != now.basis.configuration:
        yield "The configuration is written otherwise, or its references to the environment are filled otherwise."
    if plan.basis.in_effect != now.basis.in_effect:
        version = store.configurations.newest()
        told = f"{version.version}, applied by {version.actor} at {version.applied_at:%F %T}" if version else "none"
        yield f"Another version is in effect: {told}; the plan was made on {plan.basis.in_effect or 'none'}."


def _of_world(plan: Plan, now: Plan, store: Store) -> Iterator[str]:
    for name in _differing(plan.basis.tables, now.basis.tables):
        yield f"The table {name} has other columns."
    for name in _differing(plan.basis.positions, now.basis.positions):
        yield f"Customers of {name} stand elsewhere: a run has stored what their rows are mapped with now."
    for name in _differing(plan.basis.mappings, now.basis.mappings):
        provider, _, object_name = name.partition(" ")
        saved = store.mappings.saved_since(provider, object_name, plan.basis.made_at)
        yield f"Mappings of {name} were saved: {shortened(saved) or 'those of customers who came or went'}."
    if plan.schedules != now.schedules:
        yield "What is planned of the syncs' times is otherwise."


def _of_reads(plan: Plan, now: Plan) -> Iterator[str]:
    before, after = _reads(plan), _reads(now)
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, frozenset()), after.get(key, frozenset())
        for whom, more in ((new - old, "would be done for"), (old - new, "is no longer to be done for")):
            if whom:
                yield f"{key[0]} {key[1]}, {key[2]}: {more} {shortened(whom)}."


def _reads(plan: Plan) -> dict[tuple[str, str, str], frozenset[str]]:
    found: dict[tuple[str, str, str], frozenset[str]] = {}
    for each in plan.reads:
        columns = [",".join(names) for names in (each.columns, each.left) if names]
        what = " ".join((each.kind, *columns, *_waiting(each)))
        found[each.sync, each.object, what] = frozenset(each.customers)
    return found


def _waiting(read: Read) -> list[str]:
    return [] if read.caused else ["(waiting)"]


def _of_tables(plan: Plan, now: Plan) -> Iterator[str]:
    before, after = {_key(each) for each in plan.tables}, {_key(each) for each in now.tables}
    for table in sorted({name for name, _ in before ^ after}):
        yield f"Something else is to be done to the table {table}."


def _key(change: TableChange) -> tuple[str, str]:
    return f"{change.destination} {change.table}", repr(
        (change.action, change.schemas, change.added, change.retyped, change.renamed)
    )


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of what both rest on; where only one does, something else is to be done."""
    return sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
