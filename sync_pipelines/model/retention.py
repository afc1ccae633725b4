"""How long history is kept."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Ages at which things are forgotten. `runs` are those that changed something or failed, `idle_runs` the others;
    `record_changes` is what runs did to single records; `events` are those that endpoints wanted, with their
    deliveries; `dagster_runs` are Dagster's own, with theirs; `vendor_events` those of vendors that could not be
    applied."""

    runs: timedelta
    idle_runs: timedelta
    record_changes: timedelta
    requests: timedelta
    audit: timedelta
    budget_points: timedelta
    events: timedelta
    dagster_runs: timedelta
    vendor_events: timedelta = timedelta(days=7)
