"""Endpoints from the command line: made, tried, looked at, sent again, and what health says of one that is disabled."""

import json

import pytest

from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.notify.receiver import receiving


@pytest.fixture
def shell(place, command_line):
    place.open()
    command_line.set(SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES="true")
    return command_line.at(place)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def test_the_life_of_an_endpoint(shell, place, receiver):
    made = shell("webhook", "new", receiver.url + "/in?key=hush", "-e", "sync.error", "-c", "acme")
    assert made.code == 0
    secret = Secret(made.out.strip())
    (endpoint,) = place.project.store.endpoints.page()
    id = str(endpoint.id)

    tried = shell("webhook", "test", id, "-e", "sync.error")
    assert (tried.code, tried.text) == (0, tried.text)
    assert "delivered: 200" in tried.text
    assert receiver.received[0].verified(secret)["data"]["test"] is True
    listed, shown = shell("webhook", "list"), shell("webhook", "show", id)
    assert "works" in shown.text
    assert "acme" in listed.text
    assert "hush" not in listed.text + shown.text
    assert secret.reveal() not in listed.text + shown.text

    (delivery,) = place.project.store.deliveries.page()
    assert "sync.error" in shell("webhook", "deliveries", id).text
    assert "1 will be sent again" in shell("webhook", "replay", id, "--delivery", str(delivery.id)).text
    assert "1 sent" in shell("webhook", "deliver", "--once").text
    assert "1 will be sent again" in shell("webhook", "replay", id, "--hours", "1", "--all").text
    assert shell("webhook", "replay", id).code == 2

    rotated = Secret(shell("webhook", "rotate", id).out.strip())
    assert "1 sent" in shell("webhook", "deliver", "--once").text
    assert receiver.received[-1].verified(secret) == receiver.received[-1].verified(rotated)

    receiver.answer = lambda request: (410, {}, b"no more")
    gone = shell("webhook", "test", id)
    assert gone.code == 1
    assert "410" in gone.text
    health = shell("health")
    assert "disabled since" in health.text
    assert "gone (status 410)" in health.text
    (told,) = json.loads(shell("health", "--json").out)["endpoints"]
    assert (told["id"], told["enabled"]) == (id, False)

    assert "enabled" in shell("webhook", "enable", id).text
    assert "disabled" in shell("webhook", "disable", id).text
    assert "removed" in shell("webhook", "remove", id).text
    assert "There is no endpoint" in shell("webhook", "show", id).text


def test_slack_is_told_of_failures_and_private_addresses_are_refused(shell, place, receiver):
    made = shell("webhook", "new", receiver.url + "/services/T0/B0/hush", "--slack")
    assert (made.code, made.out) == (0, "")
    (endpoint,) = place.project.store.endpoints.page()
    assert endpoint.events == ("connection.expired", "sync.error", "webhook.disabled")
    assert "hush" not in shell("webhook", "list").text

    shell.set(SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES="false")
    assert "not public" in shell("webhook", "new", receiver.url).text
    assert "no event sync.started" in shell("webhook", "test", str(endpoint.id), "-e", "sync.started").text
