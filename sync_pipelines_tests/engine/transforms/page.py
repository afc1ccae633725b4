"""The generated part of docs/transforms.md. Run as a program, it writes it anew."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import get_args

from pydantic_core import PydanticUndefined

from sync_pipelines.engine.casting import to_text
from sync_pipelines.engine.transforms import KINDS
from sync_pipelines.engine.transforms.filters import FILTERS
from sync_pipelines.engine.transforms.functions import FUNCTIONS
from sync_pipelines.engine.transforms.template import TAGS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "transforms.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def generated() -> str:
    """Every transform with its options and examples, every function, filter and tag."""
    parts = [_of_kind(KINDS[name]) for name in sorted(KINDS)]
    functions = [f"| `{each.call}` | {_code(each.gives)} |" for _, each in sorted(FUNCTIONS.items())]
    parts.append(
        "\n".join(["### Functions of custom and calculation", "", "| for example | gives |", "|---|---|", *functions])
    )
    tags, filters = (", ".join(f"`{name}`" for name in sorted(names)) for names in (TAGS, FILTERS))
    parts.append(f"### Tags and filters of template\n\nTags: {tags}.\n\nFilters: {filters}.")
    return "\n\n".join(parts)


def page_with(text: str, part: str) -> str:
    """The page with its generated part exchanged."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def _of_kind(kind) -> str:
    lines = [f"### {kind.name}", "", kind.told]
    if kind.options.model_fields:
        lines += ["", "| option | default | |", "|---|---|---|"]
        for name, field in kind.options.model_fields.items():
            choices = [_code(each) for each in get_args(field.annotation) if isinstance(each, str)]
            told = field.description or ""
            told += f" ({', '.join(choices)})" if choices else ""
            default = "needed" if field.default is PydanticUndefined else _code(field.default)
            lines.append(f"| `{field.alias or name}` | {default} | {told} |")
    lines += ["", "| values | options | gives |", "|---|---|---|"]
    for example in kind.examples:
        sources = example.sources if len(example.sources) > 1 or kind.name in ("custom", "template") else ()
        values = ", ".join(
            f"{sources[place]} = {_code(value)}" if sources else _code(value)
            for place, value in enumerate(example.values)
        )
        options = ", ".join(f"`{name}: {_plain(value)}`" for name, value in example.options.items())
        lines.append(f"| {values} | {_escaped(options)} | {_code(example.gives)} |")
    return "\n".join(lines)


def _code(value: object) -> str:
    return _escaped(f"`{_plain(value)}`")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(value: object) -> str:
    """As JSON, but for a text that is said without doubt."""
    if isinstance(value, Decimal):
        return to_text(value)
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(), generated()))
    sys.exit(0)
