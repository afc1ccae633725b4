"""Messages to Slack: one for however many events, with what a person wants to know, and what answers mean."""

import json

import pytest

from sync_pipelines.model.event import Event
from sync_pipelines.notify.slack import escaped, message


@pytest.fixture
def channel(post, receiver):
    receiver.answer = lambda request: (200, {"Content-Type": "text/html"}, b"ok")
    endpoint, _ = post.subscribe("/services/T0/B0/hush-hush-hush", ["sync.error", "connection.expired"], kind="slack")
    return endpoint


def texts(request):
    body = json.loads(request.body)
    return body["text"], [block["text"]["text"] for block in body["blocks"]]


def test_a_message_says_what_failed_for_whom_and_why_and_links_to_it(post, receiver, channel):
    post.tell("acme", error_type="network", error_message="Salesforce does not answer;\n it is tried again.")
    assert post.deliver() == 1
    (request,) = receiver.received
    text, (line,) = texts(request)
    assert text == "Failed: crm contact, acme"
    assert line == (
        "*:x: Failed*: <https://dagster.example/assets/crm/contact?view=partitions&amp;partition=acme|crm contact>, "
        "acme\n"
        ">Salesforce does not answer; it is tried again."
    )
    assert "webhook-signature" not in request.headers
    assert post.only(channel).status == "delivered"


def test_ten_thousand_failures_are_a_few_messages(post, receiver, channel):
    post.tell(*(f"customer-{number}" for number in range(2_400)), error_type="network", error_message="no answer")
    sent = [post.deliver(seconds=1) for _ in range(5)]
    assert sent == [1, 0, 0, 0, 0], "the next one waits a minute"
    _, (line,) = texts(receiver.received[0])
    assert "customer-0, customer-1, customer-2, customer-3, customer-4 and 995 more customers (1,000 times)" in line
    while post.deliver(seconds=61):
        pass
    assert len(receiver.received) == 3
    assert post.store.deliveries.page(endpoint_id=channel.id, status="waiting") == []


def test_what_differs_stands_apart_and_the_rest_is_counted(post):
    events = [
        Event(type="sync.error", customer_id=f"c{number}", provider="hubspot", subject={"sync": f"s{number}"})
        for number in range(14)
    ]
    body = message(events, "")
    assert len(body["blocks"]) == 11
    assert body["blocks"][-1]["text"]["text"] == "and 4 more of 4 other kinds"
    assert "<" not in str(body)


def test_hostile_texts_are_neither_links_nor_mentions_nor_too_long(post, receiver, channel):
    hostile = "<!channel> <https://evil.example|click> & *bold* `code` " + "x" * 9_000
    post.tell("<@U1>" * 99, error_message=hostile, sync="<!here>" * 99, object="*x*")
    post.deliver()
    text, (line,) = texts(receiver.received[0])
    assert len(line) < 3_000
    for part in (text, line):
        assert not {"<!channel>", "<!here>", "<@U1>", "<https://evil"} & set(part.split())
        assert "<!" not in part
        assert "<@" not in part
        assert "*bold*" not in part
    assert escaped("a<b>&") == "a&lt;b&gt;&amp;"


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, b"no_service"), (404, b"no_team\n"), (410, b"channel_is_archived"), (403, b"invalid_token")],
)
def test_a_hook_that_is_gone_is_disabled_at_once(post, receiver, channel, status, text):
    receiver.answer = lambda request: (status, {}, text)
    post.tell()
    post.deliver()
    assert not post.store.endpoints.get(channel.id).enabled
    assert "hush" not in str(post.only(channel)) + str(post.store.endpoints.get(channel.id))


def test_a_message_that_slack_refuses_is_given_up_and_the_hook_is_not_blamed(post, receiver, channel):
    receiver.answer = lambda request: (400, {}, b"invalid_blocks")
    post.tell()
    post.deliver()
    delivery, endpoint = post.only(channel), post.store.endpoints.get(channel.id)
    assert (delivery.status, delivery.log[0]["answer"]) == ("failed", "invalid_blocks")
    assert (endpoint.enabled, endpoint.failures) == (True, 0)


@pytest.mark.parametrize(("status", "text"), [(500, b"rollup_error"), (403, b"action_prohibited"), (404, b"<html>")])
def test_other_errors_are_tried_again(post, receiver, channel, status, text):
    receiver.answer = lambda request: (status, {}, text)
    post.tell()
    post.deliver()
    assert (post.only(channel).status, post.store.endpoints.get(channel.id).failures) == ("waiting", 1)


def test_when_slack_says_wait_everything_waits(post, receiver, channel):
    receiver.answer = lambda request: (429, {"Retry-After": "600"}, b"")
    post.tell()
    post.deliver()
    receiver.answer = lambda request: (200, {}, b"ok")
    post.tell("another")
    assert post.deliver(seconds=590) == 0
    assert post.deliver(seconds=70) == 1
    assert [each.status for each in post.store.deliveries.page(endpoint_id=channel.id)] == ["delivered"] * 2
