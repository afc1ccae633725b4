"""Texts and JSON as Postgres can hold them: no NUL, no half surrogate pairs, not longer than a person wants to read."""

from typing import Any


def storable(text: str, longest: int = 4_000) -> str:
    """The text with what Postgres refuses made visible, cut at `longest` characters."""
    clean = text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def storable_json(value: Any) -> Any:
    """A JSON value with every text in it storable."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): storable_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(item) for item in value]
    return value
