"""Environment references in configuration: `${NAME}` and `${NAME:-default}`.

`$${` is a literal `${`. `${CUSTOMER_ID}` (also written `${SUPAGLUE_CUSTOMER_ID}`) is not a reference to the
environment: it stays in the value and is filled for each customer when a destination is opened.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_pipelines.config.source import FieldPath

CUSTOMER_ID = "${CUSTOMER_ID}"
UNFILLED = "unset"

_CUSTOMER_NAMES = ("CUSTOMER_ID", "SUPAGLUE_CUSTOMER_ID")
_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$\{)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<broken>\{))"
)


def has_reference(text: object) -> bool:
    """Whether a written value takes something from the environment, so that what it becomes must not be shown."""
    return isinstance(text, str) and any(
        match["name"] and match["name"] not in _CUSTOMER_NAMES for match in _REFERENCE.finditer(text)
    )


@dataclass(frozen=True)
class Allowed:
    """Where references may stand: `for_customers` are the fields that may hold the customer's id, `literal` the parts
    of a document (by their first key) that may hold no reference at all, because other documents and tables are named
    after them. `environment` False: nothing may, because whoever wrote it must not read the server's environment.
    `hidden`: keys of texts of which no part is shown, because they are secrets that were written out.
    """

    for_customers: frozenset[FieldPath] = frozenset()
    literal: frozenset[str] = frozenset()
    environment: bool = True
    hidden: frozenset[str] = frozenset()


def expand(
    value: Any,
    environ: Mapping[str, str],
    allowed: Allowed,
    refuse: Callable[[FieldPath, str], None],
    path: FieldPath = (),
) -> Any:
    """A copy of `value` with every reference in every text filled.

    `refuse` is told each reference that cannot be filled; the word `unset` stands in for it, so that the rest of the
    document can still be checked.
    """
    if isinstance(value, dict):
        return {key: expand(item, environ, allowed, refuse, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ, allowed, refuse, (*path, place)) for place, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            refuse(path, "has `${` without a name: write ${NAME} or ${NAME:-default}, or $${ for the characters ${")
        elif match["name"] in _CUSTOMER_NAMES:
            if path in allowed.for_customers:
                return CUSTOMER_ID
            refuse(path, f"cannot hold {match[0]}: only a destination's database, schema, prefix and folder can")
        elif not allowed.environment:
            what = "a value" if path[-1] in allowed.hidden else match[0]
            refuse(path, f"cannot take {what} from the environment of the server: write the value itself")
        elif path[0] in allowed.literal:
            refuse(path, f"is a name and cannot come from the environment: write it out instead of {match[0]}")
        else:
            return _lookup(match["name"], match["default"], environ, lambda message: refuse(path, message))
        return UNFILLED

    return _REFERENCE.sub(fill, value)


def _lookup(name: str, default: str | None, environ: Mapping[str, str], refuse: Callable[[str], None]) -> str:
    found = environ.get(name)
    if found:
        return found
    if default is not None:
        return default.removeprefix(":-")
    state = "is not set" if found is None else "is set but empty"
    refuse(
        f"the environment variable {name} {state}: put {name}=... into .env or the environment, "
        f"or write ${{{name}:-default}} here"
    )
    return UNFILLED
