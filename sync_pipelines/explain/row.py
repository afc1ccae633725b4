"""Whether a record has a row, and if not, where it has gone: by what the destination, the runs and the vendor tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from sync_pipelines.engine import selecting
from sync_pipelines.engine.chunk import LEFT, PASSED
from sync_pipelines.engine.keys import key_reader
from sync_pipelines.explain.explanation import DELETED, LIVE, MISSING, REMOVED, RowState
from sync_pipelines.explain.scene import Asking, Scene
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.destination import Found, StoredRow
from sync_pipelines.model.errors import RejectRecord, SyncError
from sync_pipelines.model.filter import told
from sync_pipelines.model.record_log import DELETED as REMOVED_BY_RUN
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import MIRROR
from sync_pipelines.store.logs import SUCCESS, Wanted

RUNS_LOOKED_AT: Final = 200


@dataclass(frozen=True)
class FromVendor:
    """What the vendor answered: the record's text, None where it shows none."""

    asked_at: datetime
    text: bytes | None


class Vendor(Protocol):
    """Asked when something cannot be told without it; None where it cannot be asked."""

    def asking(self) -> Asking | None: ...

    def from_vendor(self) -> FromVendor | None: ...


def row_state(scene: Scene, found: Found, id: str, text: bytes | None, vendor: Vendor) -> RowState:
    """`text`: the record as the row keeps it."""
    row = found.row
    if row is None or row.removed:
        return _absent(scene, found, id, vendor)
    if row.values.get("is_deleted") is not True:
        return RowState(state=LIVE, reason="live", message="The row is there.")
    return _deleted(scene, found, row, text, vendor)


def _deleted(scene: Scene, found: Found, row: StoredRow, text: bytes | None, vendor: Vendor) -> RowState:
    when = _moment(row)
    if row.merged_into is not None:
        return RowState(
            state=DELETED,
            reason="merged",
            message=f"The record was merged into {row.merged_into}{when}.",
            merged_into=row.merged_into,
        )
    if text is None:
        return RowState(state=DELETED, reason="deleted", message=f"The row was marked as deleted{when}.")
    if _says_deleted(scene, text):
        return RowState(state=DELETED, reason="told_by_vendor", message=f"The vendor told that it was deleted{when}.")
    if scene.declared.filter is not None:
        # The row keeps the record as it was when it still fitted.
        now = vendor.from_vendor()
        if now is not None and now.text is not None and _judged(scene, found, now.text, vendor) == LEFT:
            return RowState(state=DELETED, reason="left_filter", message=f"{_filter(scene)}, which was noticed{when}.")
        if now is None:
            message = f"The row was marked{when}: the record left the filter, or a full read did not bring it any more."
            return RowState(state=DELETED, reason="deleted", message=message)
    message = f"A full read did not bring the record any more{when}: the vendor deleted it or hides it from us."
    return RowState(state=DELETED, reason="not_in_full_read", message=message)


def _absent(scene: Scene, found: Found, id: str, vendor: Vendor) -> RowState:
    if found.row is not None:
        text = f"The row was removed{_moment(found.row)}: the record was deleted, or left the filter."
        return RowState(state=REMOVED, reason="removed", message=text)
    logged = _logged_removal(scene, id)
    if logged is not None:
        return logged
    runs = scene.project.store.runs.list(
        sync=scene.sync.name, object=scene.declared.object, customer_id=scene.customer_id, limit=RUNS_LOOKED_AT
    )
    rejected = _rejection(runs, id)
    if rejected is not None:
        return RowState(state=MISSING, reason="rejected", message=rejected)
    now = vendor.from_vendor()
    if now is not None and now.text is not None:
        return _not_stored(scene, found, now.text, vendor)
    never = "" if runs else " No run of it is remembered."
    if found.checkpoint is None:
        text = f"This customer's {scene.declared.object} was never synced here; `sync-pipelines sync` reads it."
        return RowState(state=MISSING, reason="never_synced", message=text)
    removed = [run for run in runs if run.counts.deleted]
    if now is not None:
        seen = (
            "The vendor shows no such record now, and no row says that there was one: it was never seen"
            if scene.sync.mode != MIRROR
            else "The vendor shows no such record now: it was never seen, or its row was removed when it was deleted"
        )
        return RowState(state=MISSING, reason="unknown_to_vendor", message=f"{seen}.{_about(removed)}{never}")
    text = f"There is no row of it, and whether the vendor has the record is not known.{_about(removed)}{never}"
    return RowState(state=MISSING, reason="unknown", message=text)


def _logged_removal(scene: Scene, id: str) -> RowState | None:
    """What the record log of the sync says of it, where there is one."""
    wanted = Wanted(
        kinds=(SUCCESS,),
        customer_id=scene.customer_id,
        sync=scene.sync.name,
        object=scene.declared.object,
        record=id,
    )
    newest = next(iter(scene.project.store.logs.page(wanted, limit=1)), None)
    if newest is None or newest.operation != REMOVED_BY_RUN:
        return None
    when = f"{newest.at:%Y-%m-%d %H:%M:%S} UTC"
    text = f"The run {newest.run_id} removed the row at {when}: the record was deleted, or left the filter."
    return RowState(state=REMOVED, reason="removed", message=text)


def _not_stored(scene: Scene, found: Found, text: bytes, vendor: Vendor) -> RowState:
    """The vendor shows the record, and there is no row of it."""
    position = found.checkpoint
    if position is None or position.read_until is None:
        message = "The vendor has the record; the first read of this object is not done yet."
        return RowState(state=MISSING, reason="not_read_yet", message=message)
    if _says_deleted(scene, text):
        message = "The vendor says that the record is deleted, and no row is made of such a one."
        return RowState(state=MISSING, reason="deleted_at_vendor", message=message)
    verdict = _judged(scene, found, text, vendor)
    if verdict == LEFT:
        return RowState(state=MISSING, reason="left_filter", message=f"{_filter(scene)}.")
    if verdict == PASSED:
        message = "The record is older than the `history` of the sync wants, and has not changed since."
        return RowState(state=MISSING, reason="outside_history", message=message)
    until = f"{position.read_until:%Y-%m-%d %H:%M:%S} UTC"
    message = (
        f"The vendor has the record, and it is wanted. What was visible there before {until} is stored, so it is newer "
        "than that, or was not visible to the connected user. The next run brings it; if it does not, "
        "`sync-pipelines verify --repair` reads everything."
    )
    return RowState(state=MISSING, reason="not_read_yet", message=message)


def _rejection(runs: Sequence[SyncRun], id: str) -> str | None:
    """What the newest run that refused this record said."""
    named = msgspec.json.encode(id).decode()
    for run in runs:
        for each in run.rejections:
            if named in each.record:
                return f"The run {run.run_id} of {run.finished_at:%Y-%m-%d %H:%M:%S} UTC rejected it: {each.reason}"
    return None


def _about(removed: Sequence[SyncRun]) -> str:
    if not removed:
        return ""
    last = removed[0]
    return (
        f" The last run that deleted rows is {last.run_id} of {last.finished_at:%Y-%m-%d %H:%M:%S} UTC "
        f"({last.counts.deleted})."
    )


def _filter(scene: Scene) -> str:
    assert scene.declared.filter is not None
    return f"The record does not fit the filter of the sync ({told(scene.declared.filter)})"


def _says_deleted(scene: Scene, text: bytes) -> bool:
    try:
        _, _, deleted, _ = key_reader(scene.crm_object.shape)(text)
    except RejectRecord:
        return False
    return deleted


def _judged(scene: Scene, found: Found, text: bytes, vendor: Vendor) -> int | None:
    """LEFT, PASSED or WANTED by the filter of now; None where it could not be told."""
    try:
        if scene.declared.filter is None and scene.declared.history is None:
            return None
        conversation = vendor.asking()
        if conversation is None:
            return None
        # Of a remembered field the type is not known, by which values are compared.
        schema = conversation.schema
        tracer = scene.tracer(schema, scene.versions[0] if scene.versions else None)
        known = found.checkpoint or Checkpoint()
        at = replace(known, reading=Reading(id="", full=True, started_at=datetime.now(UTC)))
        selection = selecting.select(
            scene.declared, scene.crm_object, schema, at, tracer.plan.custom, hash_key=tracer.hash_key
        )
        members = selecting.members_of(selection, scene.provider, scene.crm_object, conversation.session.ask)
        judge = selecting.judge_of(selection, scene.crm_object, members)
        return None if judge is None else judge([text])[0]
    except SyncError:
        # A filter that cannot be applied to this account fails its runs, which tell of it.
        return None


def _moment(row: StoredRow) -> str:
    run = f" by the run {row.run_id}" if row.run_id else ""
    return f" at {row.emitted_at:%Y-%m-%d %H:%M:%S} UTC{run}" if row.emitted_at is not None else run
