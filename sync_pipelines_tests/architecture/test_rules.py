"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

from sync_pipelines.providers import PROVIDERS
from sync_pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sync_pipelines"
MODULES = sorted(PACKAGE.rglob("*.py"))
BANNED = {
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "handler",
    "handlers",
    "processor",
    "common",
    "core",
    "base",
    "impl",
    "data",
    "info",
}
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_is_short_and_says_what_it_holds(module):
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_MODULE
    tree = ast.parse(text)
    if tree.body:
        assert ast.get_docstring(tree)
    long = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_module_or_class_has_a_name_that_says_nothing():
    # The common model is a word of the glossary.
    words = {named(module): set(module.stem.replace("common_model", "").split("_")) for module in MODULES}
    assert {name: found for name, said in words.items() if (found := said & BANNED)} == {}
    classes = {
        node.name
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert [name for name in classes if {part.lower() for part in re.findall("[A-Z][a-z]+", name)} & BANNED] == []


def test_only_the_settings_read_the_environment():
    readers = [
        named(module) for module in MODULES if re.search(r"os\.environ|getenv", module.read_text(encoding="utf-8"))
    ]
    assert readers == ["sync_pipelines/settings.py"]


def test_a_provider_module_sends_nothing():
    for module in (PACKAGE / "providers").rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        assert not re.search(
            r"^(import|from) (httpx|requests|urllib\.request|socket|time|logging)\b", text, re.MULTILINE
        )


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_its_golden_exchanges_and_its_page(name):
    assert (ROOT / "sync_pipelines_tests" / "providers" / "golden" / f"{name}.json").is_file()
    assert (ROOT / "docs" / "providers" / f"{name}.md").is_file()


def test_settings_that_production_needs_are_in_the_example_and_explained():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in ("store_url", "encryption_keys"):
        assert f"SYNC_PIPELINES_{name.upper()}=" in example
    assert all(field.description for field in Settings.model_fields.values())


def test_the_lock_names_hashes_and_no_host():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9][^ \n]*==", lock, re.MULTILINE)
    assert len(pinned) > 50
    assert not re.search(r"https?://|index-url|find-links", lock)
    assert lock.count("--hash=sha256:") > len(pinned)
