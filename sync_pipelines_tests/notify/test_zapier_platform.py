"""Zapier's own platform drives our served API: it subscribes, gets what happens, and unsubscribes."""

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from sync_pipelines.notify.delivering import deliver_due
from sync_pipelines.notify.samples import sample
from sync_pipelines_tests.api.conftest import api, served  # noqa: F401 - fixtures
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

APP = Path(__file__).parent / "zapier"


def skip_loudly(why):
    message = f"ZAPIER'S PLATFORM DID NOT RUN: {why}"
    warnings.warn(message, stacklevel=2)
    pytest.skip(message)


@pytest.fixture(scope="session")
def app(request):
    """The app with the platform's packages beside it, kept in pytest's cache from run to run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        skip_loudly("node and npm are needed (Debian: apt-get install nodejs npm).")
    folder = request.config.cache.mkdir("zapier")
    wanted = (APP / "package.json").read_bytes()
    complete = folder / "complete.json"
    if not complete.is_file() or complete.read_bytes() != wanted:
        (folder / "package.json").write_bytes(wanted)
        command = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
        if done.returncode:
            skip_loudly(f"npm install failed: {done.stderr[-500:]}")
        complete.write_bytes(wanted)
    for file in APP.glob("*.js"):
        shutil.copy(file, folder)

    def drive(step, **bundle):
        done = subprocess.run(
            [node, "drive.js", step, json.dumps(bundle)], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return drive


def test_an_app_of_the_platform_subscribes_receives_and_unsubscribes(app, api, receiver):  # noqa: F811
    place = api.place
    place.options["webhooks_to_private_addresses"] = True
    place.project.settings = place.settings()
    _, token = api.token("webhooks:read", "webhooks:write", customer_id=ACME)
    auth = {"authData": {"url": f"{api.url}/api/v1", "token": token.reveal()}}

    assert app("validate") == []
    assert app("test", **auth)["items"] == []
    (example,) = app("list", **auth)
    assert (example["test"], example["customer_id"]) == (True, ACME)

    hook = app("subscribe", **auth, targetUrl=f"{receiver.url}/hooks/standard/1/abc")
    assert [each["kind"] for each in app("test", **auth)["items"]] == ["zapier"]
    place.sync(ACME, BRIGHTWATER)
    assert deliver_due(place.project) == 1
    (request,) = receiver.received
    (got,) = app("perform", **auth, cleanedRequest=json.loads(request.body))
    assert (got["customer_id"], got["sync"], got["status"]) == (ACME, "crm", "success")
    assert got.keys() == example.keys() - {"test"}
    assert app("list", **auth)[0]["id"] == got["id"]

    app("unsubscribe", **auth, subscribeData=hook)
    assert app("test", **auth)["items"] == []
    place.sync(ACME)
    assert deliver_due(place.project) == 0


def test_the_library_for_javascript_verifies_what_is_sent(app, post, receiver):
    endpoint, secret = post.subscribe()
    post.store.deliveries.add(endpoint, sample("sync.error", "acmé"))
    post.deliver(minutes=5)
    (request,) = receiver.received
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = app("verify", secret=secret.reveal(), body=request.body.decode(), headers=headers)
    assert told["data"]["customer_id"] == "acmé"
