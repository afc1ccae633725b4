"""What is measured, and what becomes of it: CPU of processes, ratios, the worst vendor on top."""

import os
import sys

import pytest

from benchmarks.measure import Cost, Failed, run, tree_cpu
from benchmarks.results import GOALS, Match, assemble, at, met
from benchmarks.scenes import Scenes

BURN = "import subprocess, sys, time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def cost(wall, client=0.0, postgres=0.0):
    return Cost(wall=wall, client_cpu=client, postgres_cpu=postgres, peak_mb=100)


def scenes(first, copy, peak):
    found = Scenes(peak_mb=peak)
    for scene in ("first", "staged", "no_change", "one_percent"):
        found.costs[scene] = [cost(first, 0.01, 0.02), cost(first * 2, 0.01, 0.02), cost(first, 0.01, 0.02)]
    found.costs["copy"] = [cost(copy), cost(copy * 2), cost(copy)]
    found.wal_bytes["no_change"] = [500, 400, 300]
    return found


@pytest.fixture
def results():
    match = Match(ours=[cost(1.0, 0.5, 0.5)], peers={"dlt_merge": [cost(6.0, 3, 2)]}, notes={"dlt_merge": []})
    slow = Match(ours=[cost(1.0, 0.5, 0.5)], peers={"dlt_merge": [cost(4.0, 3, 3)]}, notes={"dlt_merge": []})
    return assemble(
        size=1000,
        peer_size=1000,
        versions={},
        scenes={"hubspot": scenes(1.0, 0.9, 120), "salesforce": scenes(1.0, 0.8, 130), "bulk": scenes(1.0, 1.1, 140)},
        matches={"hubspot": match, "salesforce": slow},
        rounds=3,
    )


def test_the_worst_vendor_is_on_top(results):
    assert results["of_copy"]["direct"] == 0.8
    assert results["of_copy"]["by_vendor"]["hubspot"]["direct"] == 0.9
    assert results["of_copy"]["all_changed"] is None
    assert results["faster_than"]["dlt_merge"]["wall"] == 4.0
    assert results["faster_than"]["dlt_merge"]["cpu"] == 5.0
    assert results["faster_than"]["dlt_merge"]["by_vendor"]["hubspot"] == {"wall": 6.0, "cpu": 5.0}
    assert results["peak_memory_mb"] == {
        "rest": 130,
        "bulk": 140,
        "by_vendor": {"hubspot": 120, "salesforce": 130, "bulk": 140},
    }
    assert results["cpu_us_per_record"]["no_change"] == 30.0
    assert results["cpu_us_per_record"]["first_load_client"] == 10.0
    assert results["wal_bytes_per_unchanged_record"] == 0.4


def test_goals_name_numbers_that_exist(results):
    known = [path for _, path, _, _ in GOALS if at(results, path) is not None]
    assert {"of_copy.direct", "faster_than.dlt_merge.cpu", "peak_memory_mb.bulk"} <= set(known)
    assert met(0.9, ">=", 0.9)
    assert not met(15.1, "<=", 15)


def test_cpu_of_a_process_and_of_its_children_is_counted(tmp_path):
    code = BURN + "subprocess.run([sys.executable, '-c', " + repr(BURN) + "])\nprint('done')"
    found, printed = run(
        [sys.executable, "-c", code],
        postgres_pid=os.getpid(),
        server_pid=os.getpid(),
        environment=dict(os.environ),
        folder=tmp_path,
        log=tmp_path / "log",
    )
    assert printed == "done\n"
    assert 0.55 < found.client_cpu < 3
    assert found.peak_mb > 5


def test_a_bad_end_tells_what_was_written(tmp_path):
    with pytest.raises(Failed, match="no such thing"):
        run(
            [sys.executable, "-c", "raise SystemExit('no such thing')"],
            postgres_pid=os.getpid(),
            server_pid=os.getpid(),
            environment=dict(os.environ),
            folder=tmp_path,
            log=tmp_path / "log",
        )


def test_a_tree_that_is_gone_costs_nothing():
    assert tree_cpu(2**22 + 1) == 0.0
