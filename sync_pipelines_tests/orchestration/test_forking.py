"""How a code server is brought to fork. That its runs are forked is shown on a real one in test_processes.py."""

import sys
from types import ModuleType

import pytest

from sync_pipelines.orchestration import forking
from sync_pipelines.orchestration.forking import fork_runs


@pytest.fixture
def server_module(monkeypatch):
    module = ModuleType("dagster._grpc.server")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_code_server_takes_its_processes_from_the_fork_server_whenever_it_was_made(server_module):
    class DagsterApiServer:
        def __init__(self):
            self._mp_ctx = "spawn"

    server_module.DagsterApiServer = DagsterApiServer
    before = DagsterApiServer()
    assert fork_runs()
    for server in (before, DagsterApiServer()):
        assert server._mp_ctx.get_start_method() == "forkserver"


def test_what_is_no_code_server_is_left_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "dagster._grpc.server", raising=False)
    assert not fork_runs()
    assert "dagster._grpc.server" not in sys.modules


def test_a_dagster_without_such_a_server_starts_runs_in_its_own_way(server_module):
    assert not fork_runs()


def test_a_system_that_cannot_fork_starts_runs_in_dagsters_way(server_module, monkeypatch):
    server_module.DagsterApiServer = type("DagsterApiServer", (), {})
    monkeypatch.setattr(forking, "get_all_start_methods", lambda: ["spawn"])
    assert not fork_runs()
    assert not hasattr(server_module.DagsterApiServer, "_mp_ctx")


def test_dagsters_own_server_has_the_attribute_that_is_exchanged():
    """The contract with the version that is locked: without it, runs would silently cost their imports again."""
    from dagster._grpc.server import DagsterApiServer

    assert "_mp_ctx" in DagsterApiServer.__init__.__code__.co_names
    assert "_mp_ctx" in DagsterApiServer.StartRun.__code__.co_names
