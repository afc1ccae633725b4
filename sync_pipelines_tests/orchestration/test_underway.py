"""Whose work of a claim has ended, who has had a place for too long, and what is left of who made room."""

import uuid
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sync_pipelines.model.run import Counts
from sync_pipelines.orchestration.claims import settle
from sync_pipelines.orchestration.underway import Underway
from sync_pipelines.store import Claim
from sync_pipelines_tests.orchestration.fakes import STARTED, a_failed_run, a_run, a_sync

SYNC = a_sync()
CLAIM = Claim(id=uuid.UUID(int=1), sync="hubspot_crm", customers=("acme", "bolt"))


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def underway(clock):
    return Underway(SYNC, CLAIM, lambda: clock.now)


def ended(customer, object_name):
    return replace(a_run(customer), object=object_name)


def test_a_customer_has_ended_with_the_last_claimed_object_and_is_told_of_once(underway):
    underway.take(ended("acme", "contact"))
    assert underway.ended() == {}
    underway.take(ended("acme", "account"))
    assert [run.object for run in underway.ended()["acme"]] == ["contact", "account"]
    underway.told(["acme"])
    assert underway.ended() == {}
    assert underway.at_work() == []


def test_a_claim_for_some_objects_ends_with_these():
    part = Underway(SYNC, replace(CLAIM, objects=("account", "contact"), only={"bolt": ("account",)}))
    part.take(ended("bolt", "account"))
    assert list(part.ended()) == ["bolt"]


def test_who_is_at_work_for_long_makes_room_for_others_of_the_run(underway, clock):
    underway.begin("acme", "contact")
    clock.now = 5
    underway.begin("acme", "account")
    assert not underway.lasts(10)
    clock.now = 10
    assert underway.lasts(10)
    assert underway.too_long(10, wanted=False) == {"acme"}, "bolt waits"
    underway.begin("bolt", "contact")
    assert underway.too_long(10, wanted=False) == {"acme"}, "so does its account"
    underway.begin("bolt", "account")
    assert underway.too_long(10, wanted=False) == set(), "its own objects wait for nobody else"


def test_where_other_runs_wait_who_has_not_begun_goes_too(underway, clock):
    underway.begin("acme", "contact")
    clock.now = 10
    assert underway.too_long(10, wanted=True) == {"acme", "bolt"}
    underway.begin("bolt", "contact")
    assert underway.too_long(10, wanted=True) == {"acme"}, "bolt has only begun"


@pytest.mark.parametrize(
    ("account", "left"),
    [
        (a_run("acme"), {"acme": ["contact"]}),
        (a_failed_run("acme", "network"), {"acme": ()}),
        (None, {"acme": ()}),
        (a_run("acme", "skipped", counts=Counts(), retry_at=STARTED), {"acme": ()}),
        (a_run("acme", "skipped", counts=Counts(), error_type="not_found"), {"acme": ["contact"]}),
        (a_run("acme", "cancelled", counts=Counts()), {}),
    ],
)
@pytest.mark.parametrize("repeat", [True, False])
def test_what_is_left_of_a_customer_who_made_room(account, left, repeat):
    """Unless a person stopped it: then nothing comes back before its regular time."""
    given, told = {}, []
    due = SimpleNamespace(
        give_back=lambda claim, left, begun: given.update(left), done=lambda claim, outcomes: told.extend(outcomes)
    )
    runs = [a_run("acme", "cancelled", retry_at=STARTED)]
    runs += [replace(account, object="account")] if account else []
    settle(SimpleNamespace(due=due), SYNC, CLAIM, ["acme"], runs, repeat=repeat)
    assert given == (left if repeat else {})
    assert [outcome.undecided for outcome in told] == ([] if given else [True])
