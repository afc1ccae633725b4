"""How names of people and vendors become names of columns and tables: pure functions, the same answer everywhere."""

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from sync_pipelines.model.common_model import PLAIN_COLUMNS
from sync_pipelines.model.mapping import CustomSchema
from sync_pipelines.model.provider import CrmObject

LONGEST_NAME = 63
"""Bytes of a Postgres identifier; a longer one would be cut silently."""

RESERVED_PREFIXES = ("_sync_", "_supaglue_")
"""Metadata columns begin like this; fields of a custom schema may not."""

RAW_COLUMN = "raw_data"
ADDITIONAL_COLUMN = "additional_fields"

ALWAYS_TAKEN = frozenset({*(column.name for column in PLAIN_COLUMNS), "updated_at", RAW_COLUMN, ADDITIONAL_COLUMN})
"""Taken in every table, so that switching raw fields or the common schema does not rename a custom column."""

_SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_WORD_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def column_name(field: str) -> str:
    """A field's column: snake case, ASCII, at most 63 bytes, never empty, never beginning with an underscore.

    Accents are folded away. Where other letters are lost or the name is cut, a hash of the whole name is appended. Two
    names may still become one column (`Tier` and `tier`); `distinct_columns` keeps such apart.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", field) if not unicodedata.combining(letter))
    letters = _WORD_BREAKS.sub("_", plain).casefold()
    words = _NOT_IN_NAMES.sub("_", letters).strip("_")
    nothing_left = not words
    if nothing_left or words[0].isdigit() or words in _SYSTEM_COLUMNS:
        words = f"field_{words}".strip("_")
    letters_lost = any(letter.isalnum() and not letter.isascii() for letter in letters)
    return _with_hash(words, field) if nothing_left or letters_lost or len(words) > LONGEST_NAME else words


def distinct_columns(fields: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A column of its own for each field, whatever the order in which the fields come.

    A field whose column is taken gets `custom_<column>`. Of several fields with one column, the one that is already
    spelled like it keeps it and the others carry a hash of their name.
    """
    wanted = {name: _beside(column_name(name), taken) for name in sorted(set(fields))}
    rivals: dict[str, list[str]] = {}
    for name, column in wanted.items():
        rivals.setdefault(column, []).append(name)
    result = {name: column for name, column in wanted.items() if rivals[column] == [name] or name == column}
    used = {*taken, *result.values()}
    for name in sorted(wanted.keys() - result.keys()):
        salted = (_with_hash(wanted[name], name + "\0" * salt) for salt in itertools.count())
        result[name] = next(candidate for candidate in salted if candidate not in used)
        used.add(result[name])
    return result


def custom_columns(schema: CustomSchema, taken: Collection[str]) -> dict[str, str]:
    """Field name -> column name of a custom schema, beside the columns `taken` by the common model.

    What every table has (`id`, `raw_data`, `additional_fields` ...) counts as taken without being named.
    """
    return distinct_columns((field.name for field in schema.fields), ALWAYS_TAKEN.union(taken))


def table_name(provider: str, object_name: str, common_name: str | None, common_schema: bool) -> str:
    """An object's table: `crm_contact` for what has a common model, else `salesforce_email_template`.

    `object_name` is the vendor's name of the object, `common_name` its place in the common model if it has one.
    """
    if common_schema and common_name:
        return f"crm_{common_name}"
    name = f"{column_name(provider)}_{_words_of(object_name)}"
    return name if len(name) <= LONGEST_NAME else _with_hash(name, object_name)


def table_of_object(provider: str, crm_object: CrmObject, *, common_schema: bool) -> str:
    """An object's table where the sync names none."""
    if crm_object.table is not None:
        return table_name(provider, crm_object.table, None, common_schema)
    return table_name(provider, crm_object.name, crm_object.common_name, common_schema)


def refusal_of_customer_id(customer_id: str) -> str | None:
    """Why a text cannot be a customer's id, None when it can.

    It stands in partition keys, in schema and database names, in URLs and in logs; so it is printable, has no blank at
    either end, and none of the few characters that one of those places gives a meaning of its own.
    """
    if not 1 <= len(customer_id) <= 200:
        return "it must have 1 to 200 characters"
    if not customer_id.isprintable():
        return "it may hold printable characters only"
    if customer_id != customer_id.strip():
        return "it may not begin or end with a blank"
    if found := [mark for mark in ("...", *"/\\|,[]\"'$") if mark in customer_id]:
        return f"it may not contain {' '.join(found)}"
    return None


def same_names(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Names that become one column, by that column; only where there are at least two."""
    columns: dict[str, list[str]] = {}
    for name in names:
        columns.setdefault(column_name(name), []).append(name)
    return {column: rivals for column, rivals in columns.items() if len(rivals) > 1}


def _beside(column: str, taken: Collection[str]) -> str:
    if column not in taken:
        return column
    moved = f"custom_{column}"
    return moved if len(moved) <= LONGEST_NAME and moved not in taken else _with_hash(moved, column)


def _words_of(object_name: str) -> str:
    words = column_name(object_name)
    return words if not object_name[:1].isdigit() else words.removeprefix("field_")


def _with_hash(words: str, whole: str) -> str:
    digest = hashlib.blake2s(whole.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{words[: LONGEST_NAME - 9].rstrip('_')}_{digest}"
