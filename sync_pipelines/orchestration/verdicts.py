"""What the checks of an asset say about completeness and freshness, in the words and tables that people read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from sync_pipelines.model.completeness import Comparison
from sync_pipelines.orchestration.reports import LONGEST_MESSAGE, markdown_table
from sync_pipelines.store import Late, Standing
from sync_pipelines.store.freshness import EXPIRED, LATE, PAUSED, Rest

LISTED: Final = 100
"""Customers in a table; the rest is a number, so that the event log stays small."""
NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A check's result. A warning is what only the customer, or nobody, can mend."""

    passed: bool
    description: str
    metadata: Mapping[str, Any]
    warning: bool = False
    names: tuple[str, ...] = ()
    """What tells it from another verdict of the same kind."""

    @property
    def mark(self) -> str:
        """The same for verdicts that say the same."""
        said = "\0".join((str(self.passed), str(self.warning), *self.names))
        return hashlib.blake2s(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        return dg.AssetCheckSeverity.WARN if self.warning else dg.AssetCheckSeverity.ERROR


def completeness_verdict(standing: Standing, rest: Rest, asked: int = 0) -> Verdict:
    """Of one object. `asked`: repairs that were asked for just now. What rests is not counted, and that is no fault."""
    gaps, unknown = standing.largest_gaps, standing.not_counted
    metadata: dict[str, Any] = {
        "customers": standing.customers,
        "complete": standing.complete,
        "gaps": standing.gaps,
        "not_counted": standing.unknown,
        "repairs_asked": asked,
        "records_at_source": standing.source,
        "rows_in_destination": standing.destination,
    }
    if gaps:
        metadata["gaps_by_customer"] = _gaps(gaps)
    if unknown:
        rows = [(one.customer_id, one.message) for one in unknown]
        metadata["not_counted_because"] = markdown_table(("customer", "reason"), rows, LONGEST_MESSAGE)
    nobody = standing.customers > 0 and standing.unknown == standing.customers
    if rest.state is not None:
        found = f"; {_of(standing.gaps, standing.customers)} differed before" if standing.gaps else ""
        told = f"{_at_rest(rest)}: nobody is counted{found}."
        return Verdict(passed=True, description=told, metadata=metadata, names=(rest.state, told))
    if nobody and all(one.customer_id in rest.customers for one in unknown):
        told = f"{_of(standing.unknown, standing.customers)} paused: nobody is counted."
        return Verdict(passed=True, description=told, metadata=metadata, names=(told,))
    if standing.gaps:
        verb = "differs" if standing.gaps == 1 else "differ"
        words = f"{_of(standing.gaps, standing.customers)} {verb} from the account: {_named(gaps, standing.gaps)}."
    elif nobody:
        words = "Nobody could be counted; see the reasons."
    else:
        words = f"{_of(standing.complete, standing.customers)} complete."
    return Verdict(
        passed=not standing.gaps and not nobody,
        warning=nobody,
        description=words,
        metadata=metadata,
        names=(words, *(f"{one.customer_id} {one.difference} {one.repair_asked_at}" for one in gaps)),
    )


def _at_rest(rest: Rest) -> str:
    return f"The sync is {rest.state} ({rest.reason})" if rest.reason else f"The sync is {rest.state}"


def objectives_in_words(objectives: Sequence[timedelta]) -> str:
    """As `later than` goes before it; the shortest comes first."""
    if len(objectives) == 1:
        return str(objectives[0])
    return f"their objectives of {objectives[0]} to {objectives[-1]}"


def freshness_verdict(late: Sequence[Late], rest: Rest, objectives: Sequence[timedelta], now: datetime) -> Verdict:
    """Of those of one object who are later than their objective; `objectives` are all that there are."""
    objective = objectives_in_words(objectives)
    metadata: dict[str, Any] = {"objective": objective, "evaluated_at": dg.MetadataValue.timestamp(now)}
    if rest.state is not None:
        told = f"{_at_rest(rest)}: nobody is late."
        return Verdict(passed=True, description=told, metadata=metadata, names=(rest.state,))
    parts = {why: [one for one in late if one.why == why] for why in (LATE, EXPIRED, PAUSED)}
    metadata |= {"late": len(parts[LATE]), "expired": len(parts[EXPIRED]), "paused": len(parts[PAUSED])}
    for why, ones in parts.items():
        if ones:
            columns = ("customer", "last success", "objective", "reason")
            rows = [(one.customer_id, age(one, now), one.objective, one.reason) for one in ones[:LISTED]]
            metadata[f"{why}_customers"] = markdown_table(columns, rows, LONGEST_MESSAGE)
    words = []
    if parts[LATE]:
        words.append(f"{len(parts[LATE])} later than {objective}: {_named(parts[LATE], len(parts[LATE]))}")
    if parts[EXPIRED]:
        words.append(f"{len(parts[EXPIRED])} must reconnect: {_named(parts[EXPIRED], len(parts[EXPIRED]))}")
    if parts[PAUSED]:
        words.append(f"{len(parts[PAUSED])} paused")
    return Verdict(
        passed=not parts[LATE] and not parts[EXPIRED],
        warning=not parts[LATE],
        description="; ".join(words) + "." if words else f"Nobody is later than {objective}.",
        metadata=metadata,
        names=tuple(sorted(f"{one.why} {one.customer_id}" for one in late)),
    )


def age(late: Late, now: datetime) -> str:
    """How long ago the last success was."""
    passed = timedelta(seconds=int((now - late.since).total_seconds()))
    return f"never, connected {passed} ago" if late.never else f"{passed} ago"


def _gaps(gaps: Sequence[Comparison]) -> dg.MarkdownMetadataValue:
    columns = ("customer", "source", "destination", "difference", "repair asked", "reason")
    return markdown_table(
        columns,
        [
            (one.customer_id, one.source, one.destination, one.difference, one.repair_asked_at or "", one.message)
            for one in gaps
        ],
        LONGEST_MESSAGE,
    )


def _named(ones: Sequence[Comparison] | Sequence[Late], number: int) -> str:
    """The first of so many."""
    rest = f" and {number - NAMED:,} more" if number > NAMED else ""
    return ", ".join(one.customer_id for one in ones[:NAMED]) + rest


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} customers"
