"""What people read about a run in Dagster: metadata of one connection's run, and the words of a failure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from tabulate import tabulate

from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import FULL_REFRESH, INCREMENTAL, Schedule, Sync

LISTED_FAILURES = 10
MOST_FAILURES = 200
"""All of a run of due work; a run that was started by hand may be for more customers."""
LONGEST_CELL = 60
LONGEST_MESSAGE = 500


def table_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=column.name, type=column.type, description=column.description or None)
            for column in table.columns
        ]
    )


def run_metadata(run: SyncRun, table: Table | None) -> dict[str, Any]:
    """Counts are rows, `invalid_values` counts values; duration is in seconds. `table` None leaves its columns out."""
    counts = run.counts
    metadata: dict[str, Any] = {
        "rows_read": counts.read,
        "rows_created": counts.created,
        "rows_updated": counts.updated,
        "rows_unchanged": counts.unchanged,
        "rows_deleted": counts.deleted,
        "rows_rejected": counts.rejected,
        "records_skipped": counts.skipped,
        "invalid_values": counts.invalid,
        "duration_seconds": round((run.finished_at - run.started_at).total_seconds(), 3),
        "strategy": FULL_REFRESH if run.full else INCREMENTAL,
        "vendor_calls": run.vendor_calls,
    }
    if table is not None:
        metadata["dagster/column_schema"] = table_schema(table)
    if run.notices:
        metadata["notices"] = dg.MetadataValue.md(_bullets(run.notices))
    if run.rejections:
        shown = [f"{each.reason}: {each.record}" for each in run.rejections[:LISTED_FAILURES]]
        metadata["rejections"] = dg.MetadataValue.md(_bullets(shown))
    return metadata


def sample_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """Rows as a markdown table, every cell cut short and made harmless to the table around it."""
    return markdown_table(columns, rows) if rows else dg.MetadataValue.md("No rows.")


def markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], longest: int = LONGEST_CELL
) -> dg.MarkdownMetadataValue:
    """Cells longer than `longest` characters are cut."""
    cells = [["" if value is None else _cell(value, longest) for value in row] for row in rows]
    headers = [_cell(column) for column in columns]
    return dg.MetadataValue.md(tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True))


@dataclass(frozen=True, kw_only=True)
class Failed:
    """What failed of one object in one run: `failures` is customer -> why, with what to do."""

    what: str
    failures: Mapping[str, str]
    attempted: int

    @property
    def told(self) -> str:
        return f"{len(self.failures)} of {self.attempted} connections failed in {self.what}."


def failure_of(failed: Sequence[Failed]) -> dg.Failure:
    """The end of a run in which some connections of some objects failed."""
    every = "\n\n".join(f"{each.told}\n\n{_bullets(_at_most(_lines(each), MOST_FAILURES))}" for each in failed)
    customers = {customer for each in failed for customer in each.failures}
    return dg.Failure(
        description="\n".join(_beginning(each) for each in failed),
        metadata={"failed_connections": len(customers), "failures": dg.MetadataValue.md(every)},
        allow_retries=False,
    )


def _beginning(failed: Failed) -> str:
    return "\n".join([failed.told, *_at_most([_short(line) for line in _lines(failed)], LISTED_FAILURES)])


def _at_most(lines: Sequence[str], most: int) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], *([f"... and {rest} more"] if rest > 0 else [])]


def _lines(failed: Failed) -> list[str]:
    return [f"{customer}: {_short(reason)}" for customer, reason in failed.failures.items()]


def reason_of(run: SyncRun) -> str:
    """Why a run failed, as `error type: what to do`."""
    return f"{run.error_type or 'error'}: {run.error_message or 'no message was given; see the log of this run'}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_harmless(_short(line))}" for line in lines)


def _short(text: str, longest: int = LONGEST_MESSAGE) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _harmless(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "\\`")


def _cell(value: object, longest: int = LONGEST_CELL) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return _harmless(_short(text, longest))


def schedule_in_words(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return f"cron {schedule.cron} ({schedule.timezone})"
    if schedule.every is not None:
        return f"every {schedule.every}"
    return "when asked"


def not_connected(sync: Sync, customer: str) -> str:
    """Why a customer that a run was asked for could not be synced at all."""
    return (
        f"configuration: this sync has no connection of {customer} to {sync.provider}; connect it with "
        f"`sync-pipelines connect {sync.provider} {customer}`"
    )


def in_words(error: Exception) -> str:
    """Why everything that had no result yet failed."""
    if isinstance(error, SyncError):
        return f"{error.error_type}: {error}"
    return f"{type(error).__name__}: its trace is in the log of this run"
