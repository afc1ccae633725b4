"""Tables and times for people."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=160)


_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal acts upon; what vendors and customers wrote may hold them."""


def plain(text: str) -> str:
    """The text with everything that would steer a terminal shown as its escape."""
    return _STEERING.sub(lambda found: repr(found.group())[1:-1], text)


def say(text: str, style: str = "") -> None:
    """Print a text as it is, brackets and all."""
    console.print(Text(plain(text), style=style))


def print_json(value: Any) -> None:
    """Print a value for programs: JSON without colours or line breaks that a terminal would add."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table; `right` names the columns of numbers, `whole` others whose words are never cut."""
    drawn = Table(
        title=Text(plain(title)),
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        box=box.SIMPLE_HEAD,
    )
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", no_wrap=column in (*right, *whole))
    for row in rows:
        drawn.add_row(*(Text(plain(shown(value))) for value in row))
    console.print(drawn)


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
