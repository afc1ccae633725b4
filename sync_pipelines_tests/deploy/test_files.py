"""What deploy/ repeats agrees with what it repeats."""

import os
import re
import subprocess
import time
import tomllib
from pathlib import Path

import yaml

from sync_pipelines.orchestration.environment import BATCHING
from sync_pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins(file):
    return dict(PIN.findall(file.read_text(encoding="utf-8")))


def test_the_image_has_the_versions_that_were_tested():
    tested, packed = pins(ROOT / "requirements.lock"), pins(DEPLOY / "requirements.lock")
    assert {"dagster", "dagster-celery", "dagster-k8s", "psycopg", "redis"} <= packed.keys()
    assert {name: version for name, version in packed.items() if tested.get(name, version) != version} == {}
    assert "pytest" not in packed


def test_the_image_has_all_that_the_package_needs():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[<>=]", each)[0] for each in needed}
    assert names <= {name.partition("[")[0] for name in pins(DEPLOY / "requirements.lock")}


def test_the_locks_of_deploy_name_hashes_and_no_host():
    for file in (DEPLOY / "requirements.lock", *(DEPLOY / part / "requirements.lock" for part in ("helm", "audit"))):
        text = file.read_text(encoding="utf-8")
        assert text.count("--hash=sha256:") > len(pins(file)) > 5
        assert not re.search(r"https?://|index-url|find-links", text)


def test_every_process_of_dagster_writes_events_in_batches():
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert {name: value for name, value in BATCHING.items() if f"{name}={value}" not in image} == {}
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8"))
    (location,) = values["dagster-user-deployments"]["deployments"]
    for process in (values["dagsterWebserver"], values["dagsterDaemon"], location):
        assert {each["name"]: each["value"] for each in process["env"]}.items() >= BATCHING.items()


def test_the_example_of_an_environment_names_all_that_the_configuration_and_compose_refer_to():
    example = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    compose = "".join(
        file.read_text(encoding="utf-8") for file in (DEPLOY / "compose.yaml", DEPLOY / "celery/compose.yaml")
    )
    wanted = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", compose)) - {"IMAGE"}
    for file in (ROOT / "syncs").rglob("*.yaml"):
        # What has a default of its own may be left out.
        written = str(list(yaml.safe_load_all(file.read_text(encoding="utf-8"))))
        wanted |= set(re.findall(r"\$\{([A-Z_]+)\}", written))
    assert wanted - example == set()


def test_every_variable_of_ours_in_deploy_is_a_setting():
    known = {f"SYNC_PIPELINES_{name.upper()}" for name in Settings.model_fields}
    known.add("SYNC_PIPELINES_DAGSTER_URL")
    for file in (file for file in DEPLOY.rglob("*") if file.is_file() and ".venv" not in file.parts):
        if file.suffix in (".yaml", ".md", ".example", ""):
            assert set(re.findall(r"SYNC_PIPELINES_[A-Z_]+", file.read_text(encoding="utf-8"))) <= known, file


def test_nothing_but_the_webserver_and_the_api_is_published_and_that_only_on_this_host():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    services |= yaml.safe_load((DEPLOY / "celery" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "webserver": ["${WEBSERVER_LISTEN:-127.0.0.1:3000}:3000"],
        "api": ["${API_LISTEN:-127.0.0.1:8700}:8700"],
    }


def test_who_is_alarmed_has_the_metrics_to_be_alarmed_by_and_no_run_lasts_for_ever():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8"))
    deployed = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["command"]
        for each in values["extraManifests"]
        if each["kind"] == "Deployment"
    }
    assert services["metrics"]["command"] == deployed["sync-pipelines-metrics"]
    assert deployed["sync-pipelines-metrics"][:3] == ["sync-pipelines", "metrics", "--serve"]
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))["run_monitoring"]
    assert values["dagsterDaemon"]["runMonitoring"]["maxRuntimeSeconds"] == ours["max_runtime_seconds"]


def test_the_query_for_late_work_in_the_runbook_answers(place):
    (query,) = re.findall(r"^    (SELECT sync.*?;)$", (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8"), re.M | re.S)
    place.write_sync(schedule={"every": "1 hour"})
    place.connect("acme-robotics", "kestrel-logistics")
    place.project.store.due.plan([place.project.sync("crm")])
    with place.store.connect() as connection:
        connection.execute("UPDATE due SET scheduled_at = now() - interval '5 minutes'")
        ((sync, count, late),) = connection.execute(query).fetchall()
    assert (sync, count) == ("crm", 2)
    assert 299 < late.total_seconds() < 600


def test_the_tests_that_the_threat_model_names_are_there():
    text = (ROOT / "docs" / "threat_model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/test_\w+\.py)`", text))
    assert len(named) > 20
    assert {name for name in named if not (ROOT / "sync_pipelines_tests" / name).is_file()} == set()
    targets = set(re.findall(r"`make (\w+)`", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {target for target in targets if f"\n{target}:" not in makefile} == set()


def test_every_service_of_compose_can_write_little_may_do_nothing_more_and_tells_its_health():
    plain, celery = (
        yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))["services"]
        for name in ("compose.yaml", "celery/compose.yaml")
    )
    added = {name: service for name, service in celery.items() if name not in plain}
    assert added.keys() == {"redis", "worker"}
    for name, service in (plain | added).items():
        assert (name, service["read_only"], service["cap_drop"]) == (name, True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert name == "migrate" or service["healthcheck"]["test"]


def test_the_health_check_of_live_goes_by_the_age_of_its_sign(tmp_path):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["live"]
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8"))
    (pod,) = (each["spec"]["template"]["spec"] for each in values["extraManifests"] if named(each, "live"))
    sign = compose["command"][-1]
    (container,) = pod["containers"]
    assert container["command"][-1] == sign
    checks = (compose["healthcheck"]["test"][1], container["livenessProbe"]["exec"]["command"][-1])
    here = tmp_path / "live"

    def healthy(check):
        assert sign in check
        return subprocess.run(["sh", "-c", check.replace(sign, str(here))], capture_output=True).returncode == 0

    assert [healthy(check) for check in checks] == [False, False]
    here.touch()
    assert [healthy(check) for check in checks] == [True, True]
    long_ago = time.time() - 185
    os.utime(here, (long_ago, long_ago))
    assert [healthy(check) for check in checks] == [False, False]


def named(manifest, name):
    return (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", f"sync-pipelines-{name}")
