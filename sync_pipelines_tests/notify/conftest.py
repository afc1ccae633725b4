"""A store with an outbox, a receiver, and a deliverer whose clock the test sets."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from sync_pipelines.model.event import EVENT_TYPES, Event
from sync_pipelines.model.secret import Secret
from sync_pipelines.notify.delivering import Deliverer
from sync_pipelines.settings import Settings
from sync_pipelines.store import Store, events
from sync_pipelines_tests.fixtures.migrated_store import KEY
from sync_pipelines_tests.notify.receiver import receiving


@dataclass
class Post:
    """`settings` and `store` make it what the deliverer takes for a project."""

    store: object
    settings: Settings
    receiver: object
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self):
        self.deliverer = Deliverer(self.store, self.settings, clock=lambda: self.now)

    def subscribe(self, path="/hook", wanted=tuple(EVENT_TYPES), url=None, **rest):
        return self.store.endpoints.create(url or self.receiver.url + path, wanted, **rest)

    def tell(self, *customers, type="sync.error", **subject):
        told = [
            Event(
                type=type,
                customer_id=customer,
                provider="salesforce",
                subject={"sync": "crm", "object": "contact", **subject},
                at=self.now,
            )
            for customer in customers or ("acme",)
        ]
        with self.store._engine.begin() as database:
            events.add(database, *told)
        return told

    def deliver(self, **later):
        """Once, so much later; how many sendings it was."""
        self.now += timedelta(**later)
        claimed = self.deliverer.claim(self.deliverer.at_once)
        for each in claimed:
            self.deliverer.deliver(each)
        return len(claimed)

    def deliver_when_due(self, endpoint):
        """Moves the clock to when the endpoint's only delivery is tried again."""
        moments = [self.only(endpoint).due_at, self.store.endpoints.get(endpoint.id).held_until]
        self.now = max(self.now, *(moment for moment in moments if moment))
        return self.deliver()

    def only(self, endpoint):
        (delivery,) = self.store.deliveries.page(endpoint_id=endpoint.id)
        return delivery


@pytest.fixture
def outbox(make_database):
    return make_database.migrated()


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(outbox):
    return Settings(
        store_url=SecretStr(outbox.url()),
        encryption_keys=SecretStr(KEY),
        webhooks_to_private_addresses=True,
        dagster_url="https://dagster.example/",
    )


@pytest.fixture
def post(outbox, settings, receiver):
    store = Store(outbox.url(), (Secret(KEY),))
    yield Post(store, settings, receiver)
    store.close()
