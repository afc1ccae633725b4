"""Health as Prometheus metrics, read from the store when somebody asks.

The number of series grows with syncs, providers and types of error, not with customers, unless that is asked for.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.exposition import start_wsgi_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from sync_pipelines.store.health import STATES, ConnectionHealth, Failures, Health, SyncHealth, Telling
from sync_pipelines.store.vendor_events import EventStanding, VendorEvents

log = logging.getLogger(__name__)

CACHE_SECONDS: Final = 10.0
"""Several scrapers, or one that asks often, cost the store no more than one."""

SYNC: Final = ("sync", "provider")
CONNECTION: Final = ("sync", "provider", "customer")

Value = float | None


class HealthCollector(Collector):
    """Reads the views `health` and `sync_health`; an answer serves for CACHE_SECONDS.

    A store that does not answer gives `sync_pipelines_store_up` 0 and nothing else. `per_connection` adds series for
    every connection: for a few hundred customers, not for thousands.
    """

    def __init__(
        self,
        health: Health,
        *,
        events: VendorEvents | None = None,
        per_connection: bool = False,
        cache_seconds: float = CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._events = events
        self._per_connection = per_connection
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: Sequence[Metric] = ()
        self._until = float("-inf")

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if self._clock() >= self._until:
                self._answer = self._read()
                self._until = self._clock() + self._cache_seconds
            return self._answer

    def _read(self) -> Sequence[Metric]:
        try:
            syncs, failures, telling = self._health.syncs(), self._health.failures(), self._health.telling()
            connections = self._health.connections() if self._per_connection else []
            events = self._events.standing() if self._events is not None else []
        except DBAPIError as error:
            log.warning("The store does not answer: %s", error.orig)
            return [_store_up(0)]
        return [
            _store_up(1),
            *of_syncs(syncs),
            *of_failures(failures, syncs),
            *of_connections(connections),
            *of_telling(telling),
            *of_events(events),
        ]


def of_syncs(syncs: Sequence[SyncHealth]) -> Iterator[Metric]:
    """What is told of each sync."""
    states = GaugeMetricFamily(
        "sync_pipelines_connections", "Connections of a sync by their health.", labels=(*SYNC, "health")
    )
    verdicts = GaugeMetricFamily(
        "sync_pipelines_sync_health", "1 for the health that a sync has, 0 for the others.", labels=(*SYNC, "health")
    )
    for each in syncs:
        for state in STATES:
            states.add_metric((each.sync, each.provider, state), getattr(each, state))
            verdicts.add_metric((each.sync, each.provider, state), float(each.health == state))
    yield states
    yield verdicts

    def gauge(name: str, help_text: str, value: Callable[[SyncHealth], Value]) -> Metric:
        return _filled(GaugeMetricFamily(f"sync_pipelines_{name}", help_text, labels=SYNC), syncs, value)

    def counter(name: str, help_text: str, value: Callable[[SyncHealth], Value]) -> Metric:
        help_text += " since midnight UTC, when it starts again from 0."
        return _filled(CounterMetricFamily(f"sync_pipelines_{name}", help_text, labels=SYNC), syncs, value)

    yield gauge(
        "last_success_timestamp_seconds",
        "When an object of any connection last got through, in seconds since 1970.",
        lambda each: None if each.last_success_at is None else each.last_success_at.timestamp(),
    )
    yield gauge("due", "Connections whose time has come and that nobody works on.", lambda each: each.due)
    yield gauge("claimed", "Connections that a run waits for or works on.", lambda each: each.claimed)
    yield gauge(
        "late_seconds", "How long the connection that waits longest has been due.", lambda each: each.late_seconds
    )
    yield gauge("completeness_gaps", "Objects of connections of which records are missing.", lambda each: each.gaps)
    yield gauge(
        "stale_objects",
        "Objects of connections whose last success is older than their objective of freshness.",
        lambda each: each.stale_objects,
    )
    yield gauge(
        "period_seconds",
        "The longest time between two runs by the schedule of a sync; none where it only runs when asked.",
        lambda each: each.period_seconds,
    )
    yield gauge(
        "api_used_ratio",
        "Share of its API calls that the account nearest to its limit has used, by the vendor's count.",
        lambda each: each.api_used_ratio,
    )
    yield gauge("attempt_mean_seconds", "Mean duration of all successful attempts.", lambda each: each.average_seconds)
    yield gauge("stored_records", "Records created, updated and deleted, ever.", lambda each: each.records)
    yield counter("attempts", "Attempts to sync an object of a connection", lambda each: each.attempts_today)
    yield counter("records", "Records created, updated and deleted", lambda each: each.records_today)
    yield counter("api_calls", "Calls of vendors' APIs", lambda each: each.calls_today)


def of_failures(failures: Sequence[Failures], syncs: Sequence[SyncHealth]) -> Iterator[Metric]:
    """What failed, by type of error."""
    providers = {each.sync: each.provider for each in syncs}
    labels = (*SYNC, "error_type")
    failing = GaugeMetricFamily(
        "sync_pipelines_failing_objects", "Objects of connections whose last attempt failed.", labels=labels
    )
    counted = CounterMetricFamily(
        "sync_pipelines_failures", "Failed attempts since midnight UTC, when it starts again from 0.", labels=labels
    )
    for each in failures:
        if each.sync in providers:
            values = (each.sync, providers[each.sync], each.error_type)
            failing.add_metric(values, each.failing)
            counted.add_metric(values, each.today)
    yield failing
    yield counted


def of_connections(connections: Sequence[ConnectionHealth]) -> Iterator[Metric]:
    """What is told of each connection, where that is asked for."""
    if not connections:
        return
    health = GaugeMetricFamily(
        "sync_pipelines_connection_health", "1 for the health that a connection has.", labels=(*CONNECTION, "health")
    )
    success = GaugeMetricFamily(
        "sync_pipelines_connection_last_success_timestamp_seconds",
        "When an object of the connection last got through, in seconds since 1970.",
        labels=CONNECTION,
    )
    late = GaugeMetricFamily(
        "sync_pipelines_connection_late_seconds", "How long the connection has been due.", labels=CONNECTION
    )
    used = GaugeMetricFamily(
        "sync_pipelines_connection_api_used_ratio",
        "Share of the account's API calls that is used, by the vendor's count.",
        labels=CONNECTION,
    )
    for each in connections:
        labels = (each.sync, each.provider, each.customer_id)
        health.add_metric((*labels, each.health), 1)
        late.add_metric(labels, each.late_seconds)
        if each.last_success_at is not None:
            success.add_metric(labels, each.last_success_at.timestamp())
        if each.api_used_ratio is not None:
            used.add_metric(labels, each.api_used_ratio)
    yield from (health, success, late, used)


def of_telling(telling: Sequence[Telling]) -> Iterator[Metric]:
    """How well endpoints are told of events."""
    if not telling:
        return
    endpoints = GaugeMetricFamily(
        "sync_pipelines_endpoints", "Endpoints of a kind by their state.", labels=("kind", "state")
    )
    backlog = GaugeMetricFamily(
        "sync_pipelines_deliveries_due", "Deliveries to enabled endpoints whose time has come.", labels=("kind",)
    )
    late = GaugeMetricFamily(
        "sync_pipelines_deliveries_late_seconds",
        "How long the delivery that waits longest has been due.",
        labels=("kind",),
    )
    failures = GaugeMetricFamily(
        "sync_pipelines_endpoint_failures", "Failed attempts in a row, of all endpoints of a kind.", labels=("kind",)
    )
    for each in telling:
        for state in ("working", "failing", "disabled"):
            endpoints.add_metric((each.kind, state), getattr(each, state))
        backlog.add_metric((each.kind,), each.due)
        late.add_metric((each.kind,), each.late_seconds)
        failures.add_metric((each.kind,), each.failures)
    yield from (endpoints, backlog, late, failures)


def of_events(standing: Sequence[EventStanding]) -> Iterator[Metric]:
    """What vendors told by themselves, by provider."""
    now = datetime.now(UTC)
    texts: dict[str, tuple[str, Callable[[EventStanding], float]]] = {
        "waiting": ("Events of vendors that wait to be applied.", lambda each: each.waiting),
        "oldest_seconds": (
            "How long the oldest event has waited.",
            lambda each: 0.0 if each.oldest_at is None else (now - each.oldest_at).total_seconds(),
        ),
        "given_up": ("Events that could not be applied and were left to the runs.", lambda each: each.given_up),
        "unknown_today": (
            "Events of accounts that nobody has connected, since midnight UTC.",
            lambda each: each.unknown,
        ),
        "refused_today": ("Deliveries that were not the vendor's, since midnight UTC.", lambda each: each.refused),
    }
    for name, (help_text, value) in texts.items():
        family = GaugeMetricFamily(f"sync_pipelines_events_{name}", help_text, labels=("provider",))
        for each in standing:
            family.add_metric((each.provider,), value(each))
        yield family


def registry_of(collector: HealthCollector) -> CollectorRegistry:
    """With our metrics and nothing of this process."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def write_textfile(collector: HealthCollector, path: Path) -> None:
    """Put the metrics into a file for node_exporter, which never sees half of them."""
    write_to_textfile(str(path), registry_of(collector))


class Exporter:
    """Serves /metrics while it is open. `port` 0 takes a free one; `url` says which."""

    def __init__(self, collector: HealthCollector, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server, self._thread = start_wsgi_server(port, host, registry_of(collector))
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"

    def __enter__(self) -> "Exporter":
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, syncs: Sequence[SyncHealth], value: Callable[[SyncHealth], Value]
) -> Metric:
    """With a sample for every sync of which there is something to tell."""
    for each in syncs:
        found = value(each)
        if found is not None:
            family.add_metric((each.sync, each.provider), found)
    return family


def _store_up(value: int) -> Metric:
    return GaugeMetricFamily("sync_pipelines_store_up", "Whether the store answers: 1 or 0.", value=value)
