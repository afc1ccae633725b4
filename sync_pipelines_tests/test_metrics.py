"""What Prometheus is told, over real HTTP and in a file, read with Prometheus' own parser."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from sync_pipelines.metrics import Exporter, HealthCollector, registry_of, write_textfile
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import VendorEvent
from sync_pipelines.store import Store
from sync_pipelines.store.deliveries import Attempt
from sync_pipelines_tests.store.conftest import sync_of
from sync_pipelines_tests.store.standing import Standing

ALERTS = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yaml"
CRM = {"sync": "crm", "provider": "salesforce"}


@pytest.fixture
def store(make_database):
    store = Store(make_database.migrated().url(), (Secret("a key for tests"),))
    yield store
    store.close()


@pytest.fixture
def standing(store):
    return Standing(store._engine)


@pytest.fixture
def customers(store, standing):
    """Three that are well and one whose token expired."""
    tokens = Tokens(access_token=Secret("access-1"), refresh_token=Secret("refresh-1"))
    made = [
        store.connections.connect(customer_id=name, provider="salesforce", tokens=tokens)
        for name in ("acme", "bolt", "corvo", "delta")
    ]
    store.due.plan([sync_of()])
    for connection in made:
        standing.settled(connection)
    store.connections.set_status(made[-1], "expired")
    return made


def parsed(text):
    """{metric: [(labels, value)]}, and the families by name."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {}
    for family in families.values():
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples, families


def scrape(exporter):
    with urlopen(exporter.url) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return parsed(answer.read().decode())


def test_health_is_served_over_http_as_prometheus_reads_it(store, customers, standing):
    standing.due(customers[0], scheduled_at=standing.at(-3))
    standing.budget(customers[1], 700, 1_000)
    standing.gap(customers[2], "account")
    standing.tried(customers[2], "contact", failing=1, last_error_type="rate_limit")
    now = datetime.now(UTC)
    usual = {"run_id": "r", "sync": "crm", "object": "contact", "provider": "salesforce", "customer_id": "corvo"}
    failed = SyncRun(**usual, started_at=now, finished_at=now, status="error", error_type="rate_limit")
    store.runs.record([failed, failed])

    with Exporter(HealthCollector(store.health)) as exporter:
        samples, families = scrape(exporter)

    states = {labels["health"]: value for labels, value in samples["sync_pipelines_connections"]}
    assert states == {"healthy": 2, "warning": 1, "error": 1, "inactive": 0}
    verdict = {labels["health"]: value for labels, value in samples["sync_pipelines_sync_health"]}
    assert verdict == {"healthy": 0, "warning": 1, "error": 0, "inactive": 0}
    for name, value in {
        "due": 1,
        "claimed": 0,
        "late_seconds": pytest.approx(180, abs=60),
        "last_success_timestamp_seconds": pytest.approx(standing.at(-10).timestamp(), abs=1),
        "completeness_gaps": 1,
        "api_used_ratio": 0.7,
        "attempt_mean_seconds": pytest.approx(160 / 79),
        "stored_records": 800,
        "attempts_total": 34,
        "records_total": 56,
        "api_calls_total": 96,
    }.items():
        assert samples[f"sync_pipelines_{name}"] == [(CRM, value)], name
    by_type = {**CRM, "error_type": "rate_limit"}
    assert samples["sync_pipelines_failing_objects"] == [(by_type, 1)]
    assert samples["sync_pipelines_failures_total"] == [(by_type, 2)]
    assert samples["sync_pipelines_store_up"] == [({}, 1)]
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families.values())


def test_customers_are_in_no_label_unless_that_is_asked_for(store, customers):
    plain = registry_of(HealthCollector(store.health))
    detailed = registry_of(HealthCollector(store.health, per_connection=True))

    def labels(registry):
        return [sample.labels for family in registry.collect() for sample in family.samples]

    assert not [each for each in labels(plain) if "customer" in each]
    health = {
        sample.labels["customer"]: sample.labels["health"]
        for family in detailed.collect()
        for sample in family.samples
        if sample.name == "sync_pipelines_connection_health"
    }
    assert health == {"acme": "healthy", "bolt": "healthy", "corvo": "healthy", "delta": "error"}


def test_a_short_cache_spares_the_store(store, customers):
    asked, clock = [], iter([0, 0, 5, 11, 11]).__next__
    event.listen(store._engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    registry = registry_of(HealthCollector(store.health, cache_seconds=10, clock=clock))

    numbers = []
    for _ in range(3):
        list(registry.collect())
        numbers.append(len(asked))

    assert numbers == [3, 3, 6]


def test_a_store_that_does_not_answer_is_told_and_metrics_come_back_with_it(postgres_server, store, customers):
    away = Store("postgresql+psycopg://nobody@127.0.0.1:1/nothing", (Secret("a key for tests"),))

    samples, _ = parsed_of(registry_of(HealthCollector(away.health)))

    assert samples == {"sync_pipelines_store_up": [({}, 0)]}


def parsed_of(registry):
    from prometheus_client import generate_latest

    return parsed(generate_latest(registry).decode())


def test_the_textfile_is_replaced_whole(store, customers, tmp_path):
    file = tmp_path / "sync_pipelines.prom"
    file.write_text("old")
    old = file.open()

    write_textfile(HealthCollector(store.health), file)

    assert old.read() == "old"
    old.close()
    samples, _ = parsed(file.read_text())
    assert len(samples["sync_pipelines_connections"]) == 4
    assert list(tmp_path.iterdir()) == [file]


def test_every_alert_is_about_metrics_that_there_are_and_ends_by_itself(store, customers, standing):
    standing.budget(customers[0], 1, 10)
    standing.tried(customers[1], failing=1)
    told = VendorEvent(account_id="00D", object="Contact", record_id="1")
    store.vendor_events.receive("salesforce", [told])
    store.endpoints.create("https://example.com/hook", ["sync.error"])
    samples, _ = parsed_of(registry_of(HealthCollector(store.health, events=store.vendor_events)))
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]

    named = {name for rule in rules for name in re.findall(r"\bsync_pipelines_\w+", rule["expr"])}

    assert named
    assert named <= set(samples)
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        labelled = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert labelled <= {"sync", "provider", "error_type", "kind"}


def test_how_well_endpoints_are_told_is_there_by_kind(store):
    samples, _ = collected(store)
    assert not [name for name in samples if "endpoint" in name or "deliveries" in name]
    for kind, path in (("webhook", "a"), ("webhook", "b"), ("slack", "c")):
        store.endpoints.create(f"https://example.com/{path}", ["sync.error"], kind=kind)
    failing, off, _ = store.endpoints.page()
    now = datetime.now(UTC)
    run = SyncRun(
        run_id="r",
        sync="crm",
        object="contact",
        provider="salesforce",
        customer_id="acme",
        started_at=now,
        finished_at=now - timedelta(minutes=5),
        status="error",
    )
    store.runs.record([run])
    (claimed,) = [each for each in store.deliveries.claim(10) if each.endpoint.id == failing.id]
    store.deliveries.record(
        claimed, Attempt(at=now, seconds=1, delivered=False, status=500, next_at={claimed.parcels[0].id: now})
    )
    store.endpoints.update(off.id, enabled=False)

    samples, _ = collected(store)
    webhook = {
        labels["state"]: value for labels, value in samples["sync_pipelines_endpoints"] if labels["kind"] == "webhook"
    }
    assert webhook == {"working": 0, "failing": 1, "disabled": 1}
    assert ({"kind": "slack"}, 1.0) in samples["sync_pipelines_deliveries_due"]
    assert ({"kind": "webhook"}, 1.0) in samples["sync_pipelines_deliveries_due"]
    assert ({"kind": "webhook"}, 1.0) in samples["sync_pipelines_endpoint_failures"]
    late = {labels["kind"]: value for labels, value in samples["sync_pipelines_deliveries_late_seconds"]}
    assert late["slack"] >= 300


def collected(store):
    return parsed(generate_latest(registry_of(HealthCollector(store.health, cache_seconds=0))).decode())
