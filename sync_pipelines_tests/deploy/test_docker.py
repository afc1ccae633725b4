"""The image, and the compose stack as deploy/ has it: a sync in it, its API, and a backup that is restored."""

import os
import shutil
import subprocess
import time
import warnings
from pathlib import Path

import httpx
import pytest
import yaml

from sync_pipelines.cli.demo.crm import environment
from sync_pipelines.orchestration.processes import free_port
from sync_pipelines.store.sealing import new_key

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside.py")
COPIED = ("deploy", "sync_pipelines", "syncs", "pyproject.toml", "README.md", "dagster.yaml", "workspace.yaml")
PROJECT = "sync-pipelines-test"
SANDBOX = 8710
SECONDS = 600


def skip_loudly(why):
    message = f"NO DOCKER: image and compose stack were not tested. {why}"
    warnings.warn(message, stacklevel=2)
    pytest.skip(message)


def run(*command, check=True, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1_800, **more)
    assert not check or done.returncode == 0, f"{command}: {done.stdout[-2_000:]} {done.stderr[-4_000:]}"
    return done


@pytest.fixture(scope="module")
def compose_command():
    """`docker compose`, or docker-compose of version 1, on a Docker that answers and has the base images."""
    docker = shutil.which("docker", path="/usr/bin:/usr/local/bin:/bin")
    if docker is None or run(docker, "info", check=False).returncode != 0:
        skip_loudly("No Docker answers: start one, and set DOCKER_HOST where it is not in its usual place.")
    for image in ("python:3.12-slim-bookworm", "postgres:17-bookworm"):
        if run(docker, "image", "inspect", image, check=False).returncode != 0:
            pulled = run(docker, "pull", image, check=False)
            if pulled.returncode != 0:
                skip_loudly(f"The image {image} is not here and cannot be pulled: {pulled.stderr.strip()[-200:]}")
    if run(docker, "compose", "version", check=False).returncode == 0:
        return docker, [docker, "compose"]
    if (older := shutil.which("docker-compose")) is not None:
        return docker, [older]
    return skip_loudly("Neither `docker compose` nor docker-compose is installed.")


class Stack:
    """The stack of deploy/compose.yaml beside a sandbox; `up` and what is asked of it."""

    def __init__(self, command, folder, api_port):
        self._command = [*command, "-p", PROJECT, "-f", "compose.yaml", "-f", "sandbox.yaml"]
        self._folder, self.api = folder / "deploy", f"http://127.0.0.1:{api_port}"

    def __call__(self, *arguments, **more):
        return run(*self._command, *arguments, cwd=self._folder, **more)

    def inside(self, *arguments):
        more = {"input": INSIDE.read_text(encoding="utf-8")}
        return self("exec", "-T", "code", "python3", "-", *arguments, **more).stdout.strip().splitlines()[-1]

    def verb(self, *arguments):
        return self("exec", "-T", "code", "sync-pipelines", *arguments).stdout.strip()

    def unhealthy(self, docker):
        """Services that are not up, or whose health check does not pass (yet)."""
        wrong = []
        for name in ("postgres", "code", "webserver", "daemon", "api", "live"):
            id = self("ps", "-q", name).stdout.strip()
            state = run(docker, "inspect", "-f", "{{.State.Status}} {{with .State.Health}}{{.Status}}{{end}}", id)
            if state.stdout.split() not in (["running"], ["running", "healthy"]):
                wrong.append((name, state.stdout.strip()))
        return wrong


def until(what, condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in {SECONDS} s: {what}"
        time.sleep(2)
    return found


@pytest.fixture
def stack(compose_command, small_world, tmp_path):
    docker, command = compose_command
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    api_port = free_port()
    vendor = environment(small_world)
    urls = {name: value.replace(small_world.url, f"http://127.0.0.1:{SANDBOX}") for name, value in vendor.items()}
    values = {
        "POSTGRES_PASSWORD": "aPasswordOfATest",
        "SYNC_PIPELINES_ENCRYPTION_KEYS": new_key(),
        "SYNC_PIPELINES_DUE_EVERY_SECONDS": "2",
        **urls,
        "WAREHOUSE_HOST": "postgres",
        "WAREHOUSE_PORT": "5432",
        "WAREHOUSE_DATABASE": "warehouse",
        "WAREHOUSE_USER": "sync",
        "WAREHOUSE_PASSWORD": "aPasswordOfATest",
        "WEBSERVER_LISTEN": f"127.0.0.1:{free_port()}",
        "API_LISTEN": f"127.0.0.1:{api_port}",
    }
    (tmp_path / "deploy" / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    sandbox = {
        "image": "sync-pipelines",
        "network_mode": "service:code",
        "command": ["sync-pipelines", "sandbox", "--folder", "/tmp/sandbox", "--scale", "0.05"],
        "depends_on": ["code"],
    }
    (tmp_path / "deploy" / "sandbox.yaml").write_text(yaml.safe_dump({"services": {"sandbox": sandbox}}))
    build = {**os.environ, "DOCKER_BUILDKIT": "1"}
    network = os.environ.get("DOCKER_BUILD_NETWORK", "default")
    file = tmp_path / "deploy" / "Dockerfile"
    run(docker, "build", f"--network={network}", "-f", str(file), "-t", "sync-pipelines", str(tmp_path), env=build)
    made = Stack(command, tmp_path, api_port)
    try:
        made("up", "-d", "postgres")
        until("Postgres is up", lambda: made(*PSQL, "store", "-c", "SELECT 1", check=False).returncode == 0)
        made(*PSQL, "postgres", "-c", "CREATE DATABASE warehouse")
        made("up", "-d")
        until("all services are healthy", lambda: not made.unhealthy(docker))
        yield made
    finally:
        made("down", "-v", "--remove-orphans", check=False)


PSQL = ("exec", "-T", "postgres", "psql", "-U", "sync", "-d")


def synced(stack, client):
    """Every sync, asked for by the API, until nothing of it waits or runs and all of it went well."""
    began = client.get("/requests").json()["items"]
    for sync in client.get("/syncs").json()["items"]:
        client.post(f"/syncs/{sync['id']}/trigger").raise_for_status()
    until(
        "all that was asked for is done",
        lambda: not [each for each in client.get("/requests").json()["items"] if each["waiting"] or each["running"]],
    )
    assert len(client.get("/requests").json()["items"]) > len(began)
    assert stack.inside("compare") == "[]"


def test_the_stack_comes_up_syncs_and_is_restored_from_its_backup(stack, tmp_path):
    assert stack.inside("connect") == "6"
    token = stack.verb("token", "new", "test", "--scope", "syncs:read", "--scope", "syncs:run")
    headers = {"Authorization": f"Bearer {token.splitlines()[-1]}"}
    with httpx.Client(base_url=f"{stack.api}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
        synced(stack, client)
        # As the runbook says it: backup, both databases lost, restore.
        for database in ("store", "warehouse"):
            made = stack("exec", "-T", "postgres", "sh", "-c", f"pg_dump -U sync -Fc {database} > /tmp/{database}.dump")
            assert made.returncode == 0
        stack("stop", "code", "daemon", "webserver", "api", "live")
        for database in ("store", "warehouse"):
            stack(*PSQL, "postgres", "-c", f"DROP DATABASE {database} WITH (FORCE)")
            stack(*PSQL, "postgres", "-c", f"CREATE DATABASE {database}")
            stack("exec", "-T", "postgres", "sh", "-c", f"pg_restore -U sync -d {database} /tmp/{database}.dump")
        stack("start", "code")
        stack("up", "-d")
        until("the API is back", lambda: ready(client))
        synced(stack, client)
    # Nobody is root, and nothing but /tmp and Dagster's folder can be written.
    assert stack("exec", "-T", "api", "id", "-u").stdout.strip() == "10001"
    assert stack("exec", "-T", "api", "touch", "/app/x", check=False).returncode != 0


def ready(client):
    try:
        return client.get("/syncs").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
