"""A thousand triggers while API, daemon, code server, runs and deliverer are killed: exactly the runs that were asked
for, and every event of them, none before its rows are there."""

import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import httpx
import pytest

from sync_pipelines_tests.chaos.listening import listening
from sync_pipelines_tests.chaos.scene import FORCE, OBJECTS
from sync_pipelines_tests.fixtures.api_process import ApiProcess

pytestmark = pytest.mark.chaos

TRIGGERS, CALLERS = 1_000, 4
AGAIN = 0.3
"""Share of the triggers that are repeated although they were answered. All that were cut off are repeated anyway."""
DEADLINE_SECONDS = 400
NOW = timedelta(milliseconds=2)
"""The server writes times in microseconds, and this process reads the clock in between."""


@dataclass
class Trigger:
    """What one caller knows of one trigger: when it first sent it, when it had its first answer, and all answers."""

    key: str
    customer: str
    sent: datetime | None = None
    answered: datetime | None = None
    ids: list = field(default_factory=list)


class Callers:
    """Threads that each send their share and repeat whatever has no answer."""

    def __init__(self, api, token, customers):
        self._api, self._headers = api, {"Authorization": f"Bearer {token.reveal()}"}
        chance = random.Random(6)
        self.triggers = [Trigger(f"key-{number}", chance.choice(customers)) for number in range(TRIGGERS)]
        self._twice = {each.key for each in self.triggers if chance.random() < AGAIN}
        self.cut, self.wrong = Counter(), []
        self._threads = [threading.Thread(target=self._send_all, args=(at,)) for at in range(CALLERS)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def join(self):
        for thread in self._threads:
            thread.join()

    def have_answers(self, count):
        return sum(1 for each in self.triggers if each.ids) >= count

    def ask_once_more(self, customers):
        """For everybody, of whom records may have changed after the last trigger."""
        last = [Trigger(f"last-{customer}", customer) for customer in customers]
        self.triggers += last
        self._send_each(last)

    def _send_all(self, at):
        self._send_each(self.triggers[at::CALLERS])

    def _send_each(self, triggers):
        deadline = time.monotonic() + DEADLINE_SECONDS
        with httpx.Client(timeout=60, headers=self._headers, trust_env=False) as client:
            for trigger in triggers:
                for _ in range(2 if trigger.key in self._twice else 1):
                    while not self._send(client, trigger):
                        if time.monotonic() > deadline:
                            self.wrong.append(f"{trigger.key} was not answered in time")
                            return

    def _send(self, client, trigger):
        trigger.sent = trigger.sent or datetime.now(UTC)
        try:
            answer = client.post(
                f"{self._api.url}/syncs/{FORCE}/trigger",
                json={"customers": [trigger.customer]},
                headers={"Idempotency-Key": trigger.key},
            )
        except httpx.TransportError:
            self.cut[trigger.key] += 1
            return False
        trigger.answered = trigger.answered or datetime.now(UTC)
        if answer.status_code != 202:
            self.wrong.append(f"{trigger.key}: {answer.status_code} {answer.text}")
        else:
            trigger.ids.append(answer.json()["id"])
        return True


@pytest.fixture
def api(scene):
    environment = {**os.environ, **scene.stage.environment, "SYNC_PIPELINES_API_BURST": "100000"}
    started = ApiProcess(environment, folder=scene.stage.folder.parent)
    yield started
    started.kill()


@pytest.fixture
def listener(scene):
    with listening(scene) as listener:
        yield listener


def test_a_thousand_triggers_under_kills_lead_to_exactly_the_runs_that_were_asked_for(scene, api, listener):
    customers = [account.id for account in scene.accounts[FORCE]]
    _, token = scene.project.store.tokens.create("callers", ["syncs:run", "syncs:read"])
    scene.since = scene.journal.now()
    before = {run.run_id for run in scene.client.runs(limit=1_000)}
    callers = Callers(api, token, customers)
    callers.start()
    kills = [
        api_killed,
        run_killed,
        api_killed,
        daemon_killed,
        api_killed,
        run_killed,
        code_server_killed,
        api_killed,
    ]
    seeds = count(1_000)
    for number, kill in enumerate(kills, start=1):
        records_change(scene, seeds)
        enough = number * TRIGGERS // (len(kills) + 1)
        scene.until("callers go on", partial(callers.have_answers, enough), DEADLINE_SECONDS)
        kill(scene, api)
        if number % 3 == 0:
            listener.deliverer.kill()
            listener.deliverer.start()
    callers.join()
    callers.ask_once_more(customers)
    assert callers.wrong == []
    assert callers.cut, "no kill met a call"
    scene.until("nothing waits that was asked for", lambda: nothing_waits(scene))
    scene.at_rest_of({(FORCE, each.customer) for each in callers.triggers})
    assert scene.wrong() == []
    assert not_once(scene, callers) == []
    assert not_as_asked(scene, callers.triggers, before) == []
    scene.until("every event is delivered", lambda: not listener.missing())
    assert any(told["counts"]["updated"] for told in listener.events.values())
    assert listener.early == []
    assert listener.of_nobody() == []


def records_change(scene, seeds):
    for account in scene.accounts[FORCE]:
        for vendor_object in OBJECTS[FORCE]:
            scene.control.change(account.id, vendor_object, seed=next(seeds), updated=3, created=1)


def nothing_waits(scene):
    """The regular work of these syncs is due in a year."""
    scene.calm_down()
    now = datetime.now(UTC)
    return not [work for work in scene.project.store.due.list(FORCE) if work.claim_id or work.next_at <= now]


def api_killed(scene, api):
    api.kill()
    api.start()


def daemon_killed(scene, api):
    scene.kill("daemon")


def code_server_killed(scene, api):
    scene.kill("code server")


def run_killed(scene, api):
    """A run that has begun. It may end by itself before the signal: then the next one is taken."""

    def killed():
        for run in scene.client.runs(limit=20):
            if run.status == "STARTED":
                with suppress(AttributeError, ProcessLookupError):  # its process is not told yet, or is gone
                    os.kill(scene.worker_of(run.run_id), signal.SIGKILL)
                    return True
        return False

    scene.until("a run works", killed)


def not_once(scene, callers):
    """Keys that stand for more or less than one request, by what the API told and what the store has."""
    told = [f"{each.key}: {each.ids}" for each in callers.triggers if len(set(each.ids)) != 1]
    ids = Counter(each.ids[0] for each in callers.triggers)
    shared = [f"request {id} stands for {times} keys" for id, times in ids.items() if times > 1]
    stored, before = {}, None
    while page := scene.project.store.requests.page(sync=FORCE, before=before, limit=500):
        stored |= {each.id: each for each in page if each.actor == "api:callers"}
        before = page[-1].id
    unknown = [f"request {id} was asked by nobody" for id in stored.keys() - ids.keys()]
    lost = [f"request {id} is lost" for id in ids.keys() - stored.keys()]
    undone = [f"request {each.id} is not done" for each in stored.values() if each.waiting or each.running]
    return [*told, *shared, *unknown, *lost, *undone]


def not_as_asked(scene, triggers, before):
    """Triggers after which nothing ran, and runs for which there was no trigger.

    Worked out from when the callers sent and when they had their answers. A run tells since when its work was due. That
    is when somebody asked first since the run before: so each work of a run that ended well needs a trigger of its own.
    Work that a killed run had may come once more.
    """
    asked = defaultdict(list)
    for each in triggers:
        asked[each.customer].append(each)
    ended = {run.run_id: run.status for run in scene.client.runs(limit=1_000) if run.run_id not in before}
    killed = sum(1 for status in ended.values() if status != "SUCCESS")
    works = defaultdict(list)
    for run in scene.project.store.runs.list(sync=FORCE, status="success", limit=50_000):
        if run.run_id in ended:
            works[run.customer_id, run.object].append(run)
    wrong = []
    for customer, own in asked.items():
        for name in ("contact", "account"):
            runs = works[customer, name]
            last = max((run.started_at for run in runs), default=datetime.min.replace(tzinfo=UTC))
            wrong += [f"{each.key}: {customer} {name} never ran after it" for each in own if last < each.sent]
            whole = [run for run in runs if ended[run.run_id] == "SUCCESS"]
            due = Counter(run.due_at for run in whole)
            wrong += [f"{customer} {name}: {times} runs for {at}" for at, times in due.items() if times > 1]
            unasked = [at for at in due if not any(each.sent - NOW <= at <= each.answered + NOW for each in own)]
            if len(unasked) > killed:
                wrong.append(f"{customer} {name} ran for nobody at {unasked}, and {killed} runs were killed")
    strangers = {customer for customer, _ in works} - asked.keys()
    return [*wrong, *(f"{customer} ran and nobody asked" for customer in strangers)]
