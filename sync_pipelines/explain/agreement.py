"""Whether the rules that are in effect give what a row holds, and if not, why not."""

from datetime import datetime
from typing import Any

from sync_pipelines.engine.layout import marks_of, root_of
from sync_pipelines.engine.tracing import Trace, Tracer
from sync_pipelines.explain.explanation import DIFFERS, SAME, STORED, UNKNOWN, Agreement
from sync_pipelines.explain.scene import Scene
from sync_pipelines.model.destination import Found


def agreement(scene: Scene, found: Found, column: str, tracer: Tracer, trace: Trace, source: str) -> Agreement:
    """Of a row that is there. `source`: where the record that was traced comes from."""
    row = found.row
    assert row is not None
    pending = _pending(scene, found, column, tracer, row.emitted_at)
    if column not in row.values:
        return pending or Agreement(
            result=DIFFERS,
            reason="new_column",
            message="The table has no such column yet; the next run that writes makes it.",
        )
    if _equal(row.values[column], trace.value) and (column in row.errors) == (trace.problem is not None):
        return Agreement(result=SAME)
    if column == "is_deleted" and row.values[column] is True:
        return Agreement(
            result=DIFFERS,
            reason="marked_deleted",
            message="A run marked the row as deleted; the record itself did not say so. See the state of the row.",
        )
    if tracer.table.append:
        return Agreement(
            result=DIFFERS,
            reason="append_mode",
            message="In append mode a row stays as it was when it was added, whatever changes.",
        )
    return pending or _unexplained(column, tracer, source)


def _pending(scene: Scene, found: Found, column: str, tracer: Tracer, written: datetime | None) -> Agreement | None:
    """What changed since and was not carried to the rows yet."""
    known = found.checkpoint
    if known is None or tracer.table.append:
        return None
    marks = marks_of(tracer.declared, tracer.table, tracer.plan, tracer.hash_key, remade=found.remade)
    if known.backfill is not None and column in known.backfill.columns:
        text = "The column is being made anew for all rows; the run that does it was interrupted, and the next goes on."
        return Agreement(result=DIFFERS, reason="backfill_pending", message=text)
    if known.mapped is not None and known.mapped.get(column) != marks.mapped.get(column):
        return Agreement(result=DIFFERS, reason="rule_changed", message=_who_changed(scene, column, tracer, written))
    if known.mapped is not None and known.ground != marks.ground and column not in marks.mapped:
        text = "The configuration of the object changed after the last run; the next one reads everything again."
        return Agreement(result=DIFFERS, reason="configuration_changed", message=text)
    return None


def _who_changed(scene: Scene, column: str, tracer: Tracer, written: datetime | None) -> str:
    newest = scene.versions[0] if scene.versions else None
    then = "The next run makes the column anew."
    if newest is not None and newest.saved_at is not None and written is not None and newest.saved_at > written:
        return (
            f"The rule of {column} is not the one that the rows were made by: {newest.actor} saved version "
            f"{newest.version} of the mapping at {newest.saved_at:%Y-%m-%d %H:%M:%S} UTC. {then}"
        )
    return f"The rule or the type of {column} changed in the configuration (custom schema, own transforms). {then}"


def _unexplained(column: str, tracer: Tracer, source: str) -> Agreement:
    lost = [name for name in tracer.plan.missing if name in _names(column, tracer)]
    if lost:
        text = (
            f"The account has no readable field {', '.join(lost)} any more; what was stored of it stays until the "
            "record changes."
        )
        return Agreement(result=DIFFERS, reason="missing_field", message=text)
    if source != STORED:
        text = "The row keeps no record, so the vendor's was read now: it may have changed since the row was written."
        return Agreement(result=UNKNOWN, reason="vendor_moved_on", message=text)
    text = (
        "The stored record gives another value by the rules of now: the row was changed by hand in the destination, a "
        "lookup (the label of an id) changed at the vendor, or another version of the program wrote it. A full run "
        "(`sync-pipelines sync --full`) makes rows whose record or rule changed; clear the row's hash to force it."
    )
    return Agreement(result=DIFFERS, reason="unexplained", message=text)


def _names(column: str, tracer: Tracer) -> set[str]:
    sources = {name for rule in tracer.rules_of(column).values() for name in rule.sources}
    return sources | {root_of(name) for name in sources}


def _equal(stored: Any, made: Any) -> bool:
    """Values of one column type; texts of the record may spell a number otherwise."""
    return bool(stored == made) and isinstance(stored, bool) == isinstance(made, bool)
