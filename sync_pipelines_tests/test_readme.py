"""The README is true: its commands exist and run, its example of configuration loads, its links lead somewhere."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sync_pipelines.config import load_configuration
from sync_pipelines.providers import PROVIDERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = (
    "SALESFORCE_CLIENT_ID",
    "SALESFORCE_CLIENT_SECRET",
    "HUBSPOT_CLIENT_ID",
    "HUBSPOT_CLIENT_SECRET",
    "WAREHOUSE_USER",
)
ENVIRON = dict.fromkeys(NAMES, "x")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    inline = [f"make {words}" for words in re.findall(r"`make ([a-z]+(?: ONCE=1)?)`", README)]
    return [line for line in (*lines, *inline) if line]


def test_it_is_short():
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make ")])
def test_every_make_command_is_a_target(command):
    if shutil.which("make") is None:
        pytest.skip("NO make FOUND: the README's make commands were not looked at")
    target = command.split()[1]
    planned = subprocess.run(
        ["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr
    assert f"{target}: " in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_example_of_configuration_loads(tmp_path):
    shutil.copytree(ROOT / "syncs", tmp_path / "syncs")
    (example,) = blocks("yaml")
    name = yaml.safe_load(example)["name"]
    for kept in (tmp_path / "syncs" / "syncs").iterdir():
        kept.unlink()
    (tmp_path / "syncs" / "syncs" / f"{name}.yaml").write_text(example, encoding="utf-8")
    configuration = load_configuration(tmp_path / "syncs", ENVIRON, providers=PROVIDERS)
    assert list(configuration.syncs) == [name]


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?://)([^)#]+)\)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()
