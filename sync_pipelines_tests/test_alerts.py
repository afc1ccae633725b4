"""The alert rules that we ship, each evaluated on the metrics of a real store: when it fires, and when it is quiet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sync_pipelines.metrics import HealthCollector, registry_of
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Override, Schedule
from sync_pipelines.model.webhook import VendorEvent
from sync_pipelines.store import Store
from sync_pipelines_tests.fixtures.promql import evaluate
from sync_pipelines_tests.store.conftest import sync_of
from sync_pipelines_tests.store.standing import Standing

ALERTS = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yaml"
RULES = {
    rule["alert"]: rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
HOUR, DAY = 60, 24 * 60
"""In minutes."""

EVERY_DAY = Schedule(every=timedelta(days=1))
EVERY_WEEK = Schedule(every=timedelta(weeks=1))
EVERY_MORNING = Schedule(cron="0 6 * * *")
WORKING_HOURS = Schedule(cron="0 9-17 * * 1-5")
WHEN_ASKED = Schedule()
SYNCS = {
    # name: (schedule, minutes since the last success, whether that is too long)
    "quarter": (Schedule(every=timedelta(minutes=15)), 6 * HOUR, False),
    "quarter-dead": (Schedule(every=timedelta(minutes=15)), 6.5 * HOUR, True),
    "daily": (EVERY_DAY, 29 * HOUR, False),
    "daily-dead": (EVERY_DAY, 31 * HOUR, True),
    "weekly": (EVERY_WEEK, 7 * DAY, False),
    "weekly-dead": (EVERY_WEEK, 7.5 * DAY, True),
    "morning": (EVERY_MORNING, 29 * HOUR, False),
    "morning-dead": (EVERY_MORNING, 31 * HOUR, True),
    "weekend": (WORKING_HOURS, 64 * HOUR, False),
    "asked": (WHEN_ASKED, 90 * DAY, False),
    "rests": (EVERY_DAY, 90 * DAY, False),
}


def scrape(store):
    registry = registry_of(HealthCollector(store.health, events=store.vendor_events, cache_seconds=0))
    samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


class Watched:
    """A store whose every sync has one customer of the sync's name. `scrapes` are half an hour apart."""

    def __init__(self, store):
        self.store, self.standing = store, Standing(store._engine)
        self.connections, self.scrapes = {}, []

    def sync(self, name, schedule=EVERY_DAY, success=1, **rest):
        """All is well but for the time of the last success."""
        tokens = Tokens(access_token=Secret("access"))
        connection = self.store.connections.connect(customer_id=name, provider="salesforce", tokens=tokens)
        self.store.due.plan([sync_of(name, customers=(name,), schedule=schedule, **rest)], whole=False)
        self.standing.settled(connection, name)
        for each in ("contact", "account"):
            self.standing.tried(connection, each, name, minutes=-success)
        self.connections[name] = connection
        return connection

    def look(self, minutes=0):
        moment = (self.standing.now + timedelta(minutes=minutes)).timestamp()
        self.scrapes.append((moment, scrape(self.store)))

    def firing(self, alert, label="sync"):
        return {dict(labels)[label] for labels in evaluate(RULES[alert], self.scrapes)}


@pytest.fixture(scope="module")
def store(migrated, postgres_server):
    import psycopg

    with psycopg.connect(postgres_server.url(driver=None), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE store_of_alerts TEMPLATE {migrated}")
        store = Store(postgres_server.url("store_of_alerts", "psycopg"), (Secret("a key for tests"),))
        yield store
        store.close()
        connection.execute("DROP DATABASE store_of_alerts WITH (FORCE)")


@pytest.fixture(scope="module")
def watched(store):
    """Everything that the rules speak of, in one store and two scrapes."""
    watched = Watched(store)
    standing = watched.standing
    for name, (schedule, success, _) in SYNCS.items():
        watched.sync(name, schedule, success)
    standing.state("paused", "rests")
    standing.gap(watched.connections["rests"], "account", "rests")
    standing.connection(watched.sync("broken"), status="error")
    standing.due(watched.sync("late"), "late", scheduled_at=standing.at(-11))
    standing.due(watched.sync("retried-late"), "retried-late", retry_at=standing.at(-11))
    standing.due(watched.sync("in-time"), "in-time", scheduled_at=standing.at(-9))
    watched.sync("stale", success=61, freshness=timedelta(hours=1))
    watched.sync("fresh", success=59, freshness=timedelta(hours=1))
    own = {"fresh-by-its-own": Override(freshness=timedelta(hours=2))}
    watched.sync("fresh-by-its-own", success=61, freshness=timedelta(hours=1), overrides=own)
    standing.gap(watched.sync("gap"), "account", "gap")
    standing.budget(watched.sync("spent"), 901, 1_000)
    standing.budget(watched.sync("not-spent"), 899, 1_000)
    store.connections.set_account(watched.sync("failing"), "00D")
    watched.sync("failing-little")
    for path in ("on", "off"):
        store.endpoints.create(
            f"https://example.com/{path}", ["sync.error"], kind={"on": "slack", "off": "webhook"}[path]
        )
    for name in ("failing", "failing-little"):
        store.runs.record([run_of(name, standing, status="error")])
    watched.look(-29)
    fail(store, standing)
    store.vendor_events.receive("salesforce", [VendorEvent(account_id="00D", object="Contact", record_id="1")])
    watched.look()
    return watched


def fail(store, standing):
    """Of ten attempts of each, two and one fail, and one endpoint is switched off."""
    for name, failures in (("failing", 2), ("failing-little", 1)):
        store.runs.record([run_of(name, standing, status="error" if at < failures else "success") for at in range(10)])
    off = next(each for each in store.endpoints.page() if each.kind == "webhook")
    store.endpoints.update(off.id, enabled=False)


def run_of(name, standing, status, ended=0):
    at = standing.at(ended)
    return SyncRun(
        run_id=f"{name} {status}",
        sync=name,
        object="contact",
        provider="salesforce",
        customer_id=name,
        started_at=at,
        finished_at=at,
        status=status,
        error_type="vendor_error" if status == "error" else None,
    )


def test_a_sync_without_success_is_told_by_its_own_schedule(watched):
    assert watched.firing("SyncWithoutSuccess") == {name for name, (_, _, late) in SYNCS.items() if late}


@pytest.mark.parametrize(
    ("alert", "label", "expected"),
    [
        ("SyncInError", "sync", {"broken"}),
        ("SyncConnectionsInError", "sync", {"broken"}),
        ("SyncLate", "sync", {"late", "retried-late"}),
        ("SyncStale", "sync", {"stale"}),
        ("SyncRecordsMissing", "sync", {"gap"}),
        ("SyncQuotaNearlyUsed", "sync", {"spent"}),
        ("SyncFailures", "sync", {"failing"}),
        ("EndpointDisabled", "kind", {"webhook"}),
    ],
)
def test_a_rule_fires_for_what_it_is_about_and_for_nothing_else(watched, alert, label, expected):
    assert watched.firing(alert, label) == expected


def test_what_waits_to_be_told_and_to_be_applied_is_alarmed_after_its_time(store, watched):
    for alert, table, column, seconds in (
        ("SyncEventsWait", "vendor_events", "received_at", 300),
        ("EventsWait", "deliveries", "due_at", 3600),
    ):
        fired = []
        for waited in (seconds - 60, seconds + 60):
            with store._engine.begin() as database:
                database.exec_driver_sql(f"UPDATE {table} SET {column} = now() - interval '{waited} s'")
            fired.append(bool(evaluate(RULES[alert], [(datetime.now(UTC).timestamp(), scrape(store))])))
        assert fired == [False, True], alert


def test_a_store_that_is_away_and_metrics_that_are_away_are_told_apart(watched):
    away = Store("postgresql+psycopg://nobody@127.0.0.1:1/nothing", (Secret("a key for tests"),))
    now = datetime.now(UTC).timestamp()
    fired = {
        name: [alert for alert in RULES if evaluate(RULES[alert], [(now - 1, samples), (now, samples)])]
        for name, samples in (("store", scrape(away)), ("all", {}))
    }
    assert fired == {"store": ["SyncPipelinesStoreAway"], "all": ["SyncPipelinesMetricsAway"]}
    for alert in ("SyncPipelinesStoreAway", "SyncPipelinesMetricsAway"):
        assert evaluate(RULES[alert], watched.scrapes) == {}


def test_every_rule_is_tried_here():
    tried = Path(__file__).read_text(encoding="utf-8")
    assert {alert for alert in RULES if f'"{alert}"' not in tried} == set()
