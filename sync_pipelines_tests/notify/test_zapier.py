"""Hooks of Zapier: flat, and unsubscribed by a 410."""

import json

import pytest

from sync_pipelines.model.errors import ConfigurationError


def test_what_zapier_gets_is_flat_and_has_an_id(post, receiver):
    endpoint, secret = post.subscribe(wanted=["sync.completed"], kind="zapier", customer_id="acme")
    assert secret is None
    assert endpoint.shown_url.endswith("/***")
    (event,) = post.tell("acme", type="sync.completed", counts={"created": 2, "updated": 0})
    post.deliver()
    (request,) = receiver.received
    assert json.loads(request.body) == {
        "id": f"msg_{event.id.hex}",
        "type": "sync.completed",
        "timestamp": event.at.isoformat().replace("+00:00", "Z"),
        "customer_id": "acme",
        "provider": "salesforce",
        "sync": "crm",
        "object": "contact",
        "counts_created": 2,
        "counts_updated": 0,
    }


def test_a_410_unsubscribes(post, receiver):
    endpoint, _ = post.subscribe(kind="zapier")
    post.tell("acme", "brightwater")
    receiver.answer = lambda request: (410, {}, b"")
    post.deliver()
    with pytest.raises(ConfigurationError, match="There is no endpoint"):
        post.store.endpoints.get(endpoint.id)
    assert post.store.deliveries.page() == []
    assert post.store.audit.list(f"endpoint {endpoint.id}")[0].action == "unsubscribe"
    assert post.deliver(days=1) == 0
