"""The demo as a person runs it: a folder with the example project, one command, Dagster's pages, Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from sync_pipelines.embedded_postgres import EmbeddedPostgres
from sync_pipelines.orchestration.graphql import DagsterClient
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, HARBOR, KESTREL, LUMEN, QUILL

ROOT = Path(__file__).parents[2]
SECONDS = 240
ASSETS = {
    ("salesforce_crm", "account"): (ACME, BRIGHTWATER, KESTREL),
    ("hubspot_crm", "contact"): (LUMEN, HARBOR, QUILL),
}

pytestmark = pytest.mark.demo


class Demo:
    """A demo (or another verb) that was started in a folder of its own; `lines` are what it has printed so far."""

    def __init__(self, folder, *options, verb=("demo", "--records", "1200"), **environment):
        shutil.copytree(ROOT / "syncs", folder / "syncs")
        shutil.copy(ROOT / "dagster.yaml", folder)
        self.folder = folder
        self.lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("sync-pipelines"), *verb, *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "160", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self.lines.append("(the demo ended)")
            self._news.notify_all()

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait_for(self, *texts):
        with self._news:
            self._news.wait_for(lambda: any(text in self.text for text in (*texts, "(the demo ended)")), SECONDS)
        assert any(text in self.text for text in texts), self.text

    def children(self):
        """Process ids of everything that runs below the demo's folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if Path(os.readlink(entry / "cwd")).is_relative_to(self.folder):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        self._reader.join(10)
        self.process.stdout.close()


def in_another_terminal(demo, verb):
    """A verb in a new shell that holds nothing but what the line shown for it loads."""
    load = re.search(r"verbs +(\. \S+) && sync-pipelines", demo.text).group(1)
    folder = Path(sys.executable).parent
    return subprocess.run(
        ["/bin/sh", "-c", f"{load} && sync-pipelines {verb}"],
        cwd=demo.folder,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo that stays up, for the tests of this module."""
    running = Demo(tmp_path_factory.mktemp("demo"), "--port", "0", "--api-port", "0")
    try:
        running.wait_for("Everything stays up")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def dagster_url(demo):
    return re.search(r"Dagster +(http://127\.0\.0\.1:\d+)", demo.text).group(1)


@pytest.fixture
def dagster(dagster_url):
    with DagsterClient(dagster_url) as client:
        yield client


def test_it_shows_progress_results_and_where_to_look(demo):
    assert demo.text.count("equal  The destination equals the CRMs") == 3
    assert demo.text.count("equal  The API tells of these runs what became of them.") == 1
    for expected in ("First sync: all history", "Incremental sync", "crm_account", "psql -h", ACME, QUILL):
        assert expected in demo.text


def test_the_call_to_the_api_that_it_shows_works_as_printed_and_its_token_is_shown_nowhere(demo):
    kept, url = re.search(r'curl -H "Authorization: Bearer \$\(cat (\S+)\)" (http://\S+)', demo.text).groups()
    file = demo.folder / kept
    token = file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert [each["id"] for each in answer.json()["items"]] == sorted(
        file.stem for file in (ROOT / "syncs" / "syncs").glob("*.yaml")
    )
    assert token not in demo.text
    logs = (demo.folder / ".sync_pipelines" / "demo" / "dagster").rglob("*.log")
    assert not [log for log in logs if token in log.read_text(errors="replace")]


def test_the_line_that_it_shows_lets_every_verb_work_in_another_terminal(demo):
    ran = in_another_terminal(demo, f"sync salesforce_crm --customer {ACME} --object Lead")
    assert (ran.returncode, "success" in ran.stdout) == (0, True), ran.stderr
    asked = in_another_terminal(demo, "check --live")
    assert (asked.returncode, "everything answers" in asked.stdout) == (0, True), asked.stdout
    (kept,) = (demo.folder / ".sync_pipelines" / "demo").glob("env")
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("asset", "customers"), ASSETS.items())
def test_the_connections_are_the_partitions_of_their_assets_and_are_green(dagster, asset, customers):
    assert set(dagster.partition_keys(asset)) == set(customers)
    statuses = dagster.partition_statuses(asset)
    assert (statuses.materialized, statuses.failed) == (frozenset(customers), frozenset())


def test_every_run_is_green(dagster):
    runs = dagster.runs()
    assert len(runs) >= 6
    assert {run.status for run in runs} == {"SUCCESS"}


def test_a_materialisation_tells_what_became_of_the_rows(dagster):
    newest, *_, first = dagster.materializations(("salesforce_crm", "account"), partitions=[ACME], limit=10)
    assert newest.metadata["rows_updated"] > 0
    assert {
        "rows_created",
        "rows_unchanged",
        "rows_deleted",
        "rows_rejected",
        "duration_seconds",
    } <= newest.metadata.keys()
    assert "annual_revenue" in first.metadata["sample"]


def test_a_backfill_of_the_first_and_the_third_customer_works(dagster):
    asset = ("salesforce_crm", "account")
    before = {each.run_id for each in dagster.materializations(asset, limit=100)}
    runs = dagster.wait_for_backfill(dagster.backfill([asset], [ACME, KESTREL]), expected_runs=2)
    assert {run.status for run in runs} == {"SUCCESS"}
    new = [each for each in dagster.materializations(asset, limit=100) if each.run_id not in before]
    assert sorted(each.partition for each in new) == [ACME, KESTREL]


@pytest.mark.browser
def test_a_person_backfills_the_first_and_the_third_customer_in_the_browser(dagster, dagster_url, page):
    asset = ("hubspot_crm", "contact")
    before = {each.run_id for each in dagster.materializations(asset, limit=100)}
    keys = dagster.partition_keys(asset)
    page.goto(f"{dagster_url}/assets/{'/'.join(asset)}?view=partitions")
    page.get_by_text(keys[0]).first.wait_for()
    page.get_by_text("Materialize…").first.click()
    dialog = page.locator("[role=dialog][aria-modal=true]")
    dialog.get_by_text("Select a partition").click()
    for key in (keys[0], keys[2]):
        page.locator("li").filter(has_text=key).last.click()
    page.keyboard.press("Escape")
    dialog.get_by_text("2 partitions", exact=True).wait_for()
    dialog.get_by_text("Launch backfill").click()
    dialog.wait_for(state="detached")
    newest = dagster.ask("{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills { results { id } } } }")
    (backfill,) = newest["partitionBackfillsOrError"]["results"]
    runs = dagster.wait_for_backfill(backfill["id"], expected_runs=2)
    assert {run.status for run in runs} == {"SUCCESS"}
    new = [each for each in dagster.materializations(asset, limit=100) if each.run_id not in before]
    assert sorted(each.partition for each in new) == sorted((keys[0], keys[2]))


def test_ctrl_c_stops_everything_that_was_started(demo):
    assert len(demo.children()) > 4
    demo.stop()
    assert demo.children() == []
    assert not EmbeddedPostgres(demo.folder / ".sync_pipelines" / "demo" / "postgres").is_running
    assert "Stopped." in demo.text


def test_once_ends_with_zero_when_all_is_equal_and_leaves_what_the_shell_is_set_up_for_alone(tmp_path):
    elsewhere = "postgresql+psycopg://nobody@127.0.0.1:1/production"
    once = Demo(tmp_path, "--once", SYNC_PIPELINES_STORE_URL=elsewhere, WAREHOUSE_HOST="127.0.0.1")
    try:
        assert once.process.wait(SECONDS) == 0, once.text
    finally:
        once.stop()
    assert once.children() == []


def test_dev_brings_up_dagster_and_the_api_on_the_configuration_and_ctrl_c_stops_it(tmp_path):
    apps = [f"{vendor}_CLIENT_{part}=mine\n" for vendor in ("SALESFORCE", "HUBSPOT") for part in ("ID", "SECRET")]
    (tmp_path / ".env").write_text("".join(apps))
    dev = Demo(tmp_path, "--port", "0", "--api-port", "0", verb=("dev",))
    try:
        dev.wait_for("Ctrl-C stops everything")
        with DagsterClient(re.search(r"Dagster +(http://127\.0\.0\.1:\d+)", dev.text).group(1)) as client:
            assert client.partition_keys(("salesforce_crm", "account")) == []
        api = re.search(r"API +(http://127\.0\.0\.1:\d+)", dev.text).group(1)
        assert httpx.get(f"{api}/readyz", timeout=60).json() == {"status": "ok"}
        assert httpx.get(f"{api}/api/v1/syncs", timeout=60).status_code == 401
        shown = in_another_terminal(dev, "connections")
        assert shown.returncode == 0, shown.stderr
    finally:
        dev.stop()
    assert dev.children() == []
