"""The whole product as processes, with the vendors under the test's thumb, and what has to be true of it at rest."""

import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml

from sync_pipelines.cli.demo import crm
from sync_pipelines.cli.demo.verify import differences
from sync_pipelines.cli.stage import WAREHOUSE, Stage
from sync_pipelines.orchestration.graphql import DagsterClient
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.chaos.journal import Journal, overlaps
from sync_pipelines_tests.chaos.vendors import Vendors

ROOT = Path(__file__).parents[2]
HUB, FORCE = "hub", "force"
OBJECTS = {HUB: ("contacts", "companies"), FORCE: ("Contact", "Account")}
PROVIDERS = {HUB: "hubspot", FORCE: "salesforce"}
CUSTOMERS = 18
PAGE = 5
SILENT_SECONDS = 20
DEADLINE_SECONDS = 150
BEHIND_SECONDS = 900
"""By which the vendors' clock is behind ours at first."""

SETTINGS = {
    "SYNC_PIPELINES_SILENT_AFTER_SECONDS": str(SILENT_SECONDS),
    "SYNC_PIPELINES_CHUNK_ROWS": str(PAGE),
    "SYNC_PIPELINES_RETRY_ATTEMPTS": "2",
    "SYNC_PIPELINES_SAMPLE_ROWS": "0",
}

EVENTS = """
query Events($id: ID!) {
  runOrError(runId: $id) { ... on Run { eventConnection { events { ... on MessageEvent { message } } } } }
}
"""


class Scene:
    """`since`: when the scenario began, by the clock of the destination's server."""

    def __init__(self, vendors, stage):
        self.vendors = vendors
        self.control = vendors.control
        self.stage = stage
        self.project = stage.project
        self.client = DagsterClient(stage.dagster.url)
        self.journal = None
        self.since = None
        self._seeds = count(1)

    @property
    def accounts(self):
        return {
            sync: [account for account in self.control.accounts() if account.vendor == provider]
            for sync, provider in PROVIDERS.items()
        }

    def until(self, what, condition, seconds=DEADLINE_SECONDS):
        """What the condition gives, once that is true. Pages that do not answer are asked again."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(httpx.HTTPError):
                if found := condition():
                    return found
            assert time.monotonic() < deadline, f"not in {seconds} s: {what}. {self.state()}"
            time.sleep(0.2)

    def state(self):
        runs = [(run.run_id[:8], run.status, run.tags.get(CLAIM_TAG, "")[:8]) for run in self.client.runs(limit=8)]
        errors = {(run.error_type, run.error_message) for run in self.project.store.runs.list(status="error", limit=40)}
        return f"{runs} {self.project.store.due.open_claims()} {list(errors)[:3]}"

    def change(self, sync, *, slowly=False):
        """Something for a sync to do in every account; `slowly`: in many pages, each of which takes its time."""
        for account in self.accounts[sync]:
            if slowly:
                self.control.fault(account.id, "short_pages", size=PAGE)
                self.control.fault(account.id, "slow", seconds=0.3)
            for vendor_object, updated in zip(OBJECTS[sync], (14, 6), strict=True):
                self.control.change(
                    account.id, vendor_object, seed=next(self._seeds), updated=updated, created=2, deleted=1
                )
        self.since = self.journal.now()

    def ask(self, sync):
        self.project.store.due.request(sync, actor="chaos")

    def in_the_middle(self):
        """The run's id, once it has written rows of some customers and has others before it."""

        def begun():
            written = self.journal.written(self.since)
            return written[0][0] if len({customer for _, customer in written}) >= 2 else None

        run_id = self.until("rows are written", begun)
        assert self.client.run(run_id).status == "STARTED"
        return run_id

    def hit_in_the_middle(self, sync):
        """A slow run of a sync at work on many changes; its id."""
        self.change(sync, slowly=True)
        self.ask(sync)
        return self.in_the_middle()

    def worker_of(self, run_id):
        """The process id of a run, as Dagster tells it."""
        events = self.client.ask(EVENTS, id=run_id)["runOrError"]["eventConnection"]["events"]
        messages = " ".join(event.get("message", "") for event in events)
        return int(re.search(r"Started process for run \(pid: (\d+)\)", messages).group(1))

    def process(self, name):
        return next(each for each in self.stage.dagster.started if each.name == name)

    def kill(self, name):
        """SIGKILL to a process of Dagster's and to all that it has started, as when a container goes."""
        killed = self.process(name)
        os.killpg(killed.pid, signal.SIGKILL)
        self.until(f"the {name} is started again", lambda: self.process_again(name, killed.pid))

    def process_again(self, name, former):
        found = [each.pid for each in self.stage.dagster.started if each.name == name]
        return found and found[0] != former

    def calm_down(self):
        """Vendors answer at once again, and the minute before a retry is over."""
        self.control.clear_faults()
        self.the_minute_passes()

    def the_minute_passes(self):
        """What waits for its retry is due."""
        with psycopg.connect(self.project.settings.store_url.get_secret_value().replace("+psycopg", "")) as connection:
            connection.execute("UPDATE due SET retry_at = now() WHERE retry_at IS NOT NULL")

    def at_rest(self, *syncs):
        """Once every work of these syncs ended well since the scenario began, and nothing is under way or waits."""
        self.at_rest_of({(sync, account.id) for sync in syncs for account in self.accounts[sync]})

    def at_rest_of(self, wanted):
        """`at_rest` for some {(sync, customer)}."""
        self.until("all work is done", lambda: self._done(wanted))

    def _done(self, wanted):
        self.calm_down()
        ended = {}
        for run in self.project.store.runs.list(since=self.since, limit=2_000):
            ended.setdefault((run.sync, run.customer_id, run.object), run.status)
        well = {(sync, customer) for (sync, customer, _), status in ended.items() if status == "success"}
        others = [status for status in ended.values() if status != "success"]
        return wanted <= well and not others and not self._unfinished()

    def _unfinished(self):
        return [work for work in self.project.store.due.list() if work.attempts or work.claim_id]

    def wrong(self):
        """Everything that is not as it should be, at rest. Empty when all is well."""
        unequal = [text for texts in differences(self.project, self.control).values() for text in texts]
        works = [
            ((run.sync, run.object, run.customer_id), run.started_at, run.finished_at)
            for run in self.project.store.runs.list(limit=10_000)
            if run.status != "skipped"
        ]
        (shown,) = self.until("the pages answer", lambda: [self._shown_wrong()])
        return [*unequal, *self.journal.twice_at_once(), *overlaps(works), *self._unfinished(), *shown]

    def _shown_wrong(self):
        """What Dagster shows that it should not."""
        failed = [
            f"{sync} {asset}: {customers} failed"
            for sync in OBJECTS
            for asset in ("contact", "account")
            if (customers := self.client.partition_statuses((sync, asset)).failed)
        ]
        runs = self.client.runs(limit=200)
        claims = Counter(run.tags.get(CLAIM_TAG, run.run_id) for run in runs)
        launched_twice = [f"claim {claim} launched twice" for claim, times in claims.items() if times > 1]
        return [*failed, *launched_twice, *(run for run in runs if not run.ended)]

    def ended(self, run_id):
        return self.until(f"run {run_id} ends", lambda: (run := self.client.run(run_id)).ended and run.status)


def write_project(folder):
    """The example project's providers and destination, and two small syncs that nothing but a request makes due."""
    shutil.copytree(ROOT / "syncs", folder / "syncs", ignore=shutil.ignore_patterns("*_crm.yaml", "*_marketing.yaml"))
    shutil.copy(ROOT / "dagster.yaml", folder)
    for sync, provider in PROVIDERS.items():
        document = {
            "name": sync,
            "provider": provider,
            "destination": "warehouse",
            "schedule": {"every": "365 days"},
            "objects": ["contact", "account"],
        }
        (folder / "syncs" / "syncs" / f"{sync}.yaml").write_text(yaml.safe_dump(document))


@contextmanager
def supervised(stage):
    """Processes that end are started again, as a supervisor does it."""
    stop, trouble = threading.Event(), []

    def watch():
        try:
            stage.dagster.watch(stop)
        except BaseException as error:
            trouble.append(error)
            raise

    watching = threading.Thread(target=watch, name="supervisor")
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()
    assert not trouble


@contextmanager
def made_scene(folder):
    """Everything up, every customer connected and synced for the first time."""
    write_project(folder)
    epoch = (int(time.time()) - BEHIND_SECONDS) * 1_000
    vendors = Vendors(Recipe(seed=3, scale=0.04, customers=CUSTOMERS, epoch=epoch))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        environment = crm.environment(vendors.control) | SETTINGS
        try:
            with Stage(folder / "state", environment=environment, due_every_seconds=1) as stage:
                stage.start_postgres()
                crm.connect_customers(stage.project, vendors.control)
                stage.start_dagster()
                scene = Scene(vendors, stage)
                first_sync(scene)
                with supervised(stage):
                    yield scene
                scene.client.close()
        finally:
            vendors.close()


def first_sync(scene):
    """Everything is due at once. Then the tables are there, and the destination begins its journal."""
    with psycopg.connect(scene.stage.postgres.url(WAREHOUSE, None)) as connection:
        ((scene.since,),) = connection.execute("SELECT clock_timestamp() - interval '1 hour'")
    scene.at_rest(*OBJECTS)
    scene.journal = Journal(scene.stage.postgres.url(WAREHOUSE, None))
