"""Examples and pages tell of events as they are."""

import re
from pathlib import Path
from typing import get_args

from sync_pipelines.api.webhooks import EventType
from sync_pipelines.model.event import EVENT_TYPES
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.secret import Secret
from sync_pipelines.notify.samples import SAMPLES
from sync_pipelines.store.deliveries import DISABLED_AFTER

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"


def test_every_type_has_an_example_and_is_in_the_api_and_on_the_page():
    assert SAMPLES.keys() == EVENT_TYPES.keys() == set(get_args(EventType))
    listed = re.findall(r"^\| `([a-z.]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert set(listed) == EVENT_TYPES.keys()


def test_examples_have_what_real_events_have(post, receiver):
    """All of them but the one that nothing sends yet."""
    everything, _ = post.subscribe("/all")
    doomed, _ = post.subscribe("/doomed", ["connection.connected"])
    receiver.answer = lambda request: (500 if request.path == "/doomed" else 200, {}, b"")
    store = post.store
    tokens = Tokens(access_token=Secret("access"), refresh_token=None)
    acme = store.connections.connect(customer_id="acme", provider="salesforce", tokens=tokens)
    store.credentials(acme).expire("revoked")
    store.mappings.save("acme", "salesforce", "contact", {"email": "Email"})
    for status in ("success", "error"):
        usual = {"run_id": "r", "sync": "crm", "object": "contact", "provider": "salesforce", "customer_id": "acme"}
        store.runs.record([SyncRun(**usual, started_at=post.now, finished_at=post.now, status=status)])
    post.deliver(minutes=5)
    store.connections.connect(customer_id="acme", provider="salesforce", tokens=tokens)
    while store.endpoints.get(doomed.id).enabled:
        post.deliver(seconds=DISABLED_AFTER.total_seconds() / 2)

    found = {each.type: each.event_id for each in store.deliveries.page(endpoint_id=everything.id)}
    assert found.keys() == EVENT_TYPES.keys() - {"sync.conflict"}
    for type in found:
        (real, *_) = store.deliveries.recent_events(type, None)
        assert real.subject.keys() == SAMPLES[type].keys(), type
        assert real.provider == (None if type == "webhook.disabled" else "salesforce")


def test_the_pages_python_verifies_what_is_sent(post, receiver):
    (snippet,) = re.findall(r"```python\n(from standardwebhooks.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(snippet, names)
    _, secret = post.subscribe()
    (event,) = post.tell("acme")
    post.deliver()
    (request,) = receiver.received
    told = names["verified"](secret.reveal(), request.body, request.headers)
    assert told["id"] == f"msg_{event.id.hex}"
