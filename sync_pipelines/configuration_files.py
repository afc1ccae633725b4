"""Files made of kept documents, as `load_configuration` reads them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sync_pipelines.config import KeptDocument
from sync_pipelines.model.errors import ConfigurationError


class _Dumper(yaml.SafeDumper):
    """Texts that our loader would read as something else are quoted by PyYAML already, as it takes more words."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def files_of(documents: Sequence[KeptDocument]) -> dict[str, str]:
    """{file below the configuration's folder: text}, by name."""
    values: dict[str, list[Any]] = {}
    for each in documents:
        values.setdefault(each.file, []).append(each.value)
    return {file: _text(file, several) for file, several in sorted(values.items())}


def write_files(documents: Sequence[KeptDocument], folder: Path) -> None:
    """ConfigurationError when the folder has something in it already: nothing is overwritten."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is there already and not empty: name another folder with --to.")
    for name, text in files_of(documents).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _text(file: str, values: Sequence[Any]) -> str:
    if file.endswith(".json"):
        return json.dumps(values[0], indent=2, ensure_ascii=False) + "\n"
    return yaml.dump_all(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=len(values) > 1
    )
