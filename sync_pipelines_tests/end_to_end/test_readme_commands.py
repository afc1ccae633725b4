"""The sync-pipelines commands of the README, in their order, on a place of their own."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sync_pipelines.cli import app
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.fixtures.place import ACME

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def shell(place, monkeypatch, tmp_path):
    """Runs a command line in a folder that has tokens.json, with the place's settings."""
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", README, re.DOTALL).group(1))
    for known in (place.folder / "syncs").iterdir():
        known.unlink()
    place.write_sync(**example)
    account = place.control.account(ACME)
    tokens = {
        "access_token": account.access_token,
        "refresh_token": account.refresh_token,
        "instance_url": account.api_url,
    }
    (tmp_path / "tokens.json").write_text(json.dumps(tokens))
    monkeypatch.chdir(tmp_path)
    values = {
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
        "COLUMNS": "200",
        **place.environ,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    def run(line):
        return CliRunner().invoke(app, shlex.split(line)[1:])

    return run


def lines():
    shown = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`(sync-pipelines [^`]+)`", README)
    return [line.strip() for line in (*shown, *inline) if line.startswith("sync-pipelines")]


def test_every_command_of_the_readme_runs(shell, place):
    assert len(lines()) >= 7
    for line in lines():
        done = shell(line)
        assert done.exit_code == 0, f"{line}\n{done.output}"
    rows = place.rows("crm_account", ACME)
    assert any(row["annual_revenue"] is not None for row in rows)


def test_the_query_of_the_readme_answers(shell, place):
    for line in lines()[:3]:
        shell(line)
    (query,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    rows = place.execute(query)
    assert {row[0] for row in rows} == {ACME}
