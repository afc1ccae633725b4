"""Whether a customer's mapping fits the connected account: its fields exist there, and their types can fit."""

import difflib
from collections.abc import Mapping as MappingOf
from typing import Final

from sync_pipelines.engine.layout import resolve_mapping
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Mapping
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import SyncObject

NEVER_FITS: Final[MappingOf[str, frozenset[str]]] = {
    "boolean": frozenset({"numeric", "bigint", "timestamptz", "date"}),
    "number": frozenset({"boolean", "timestamptz", "date"}),
    "integer": frozenset({"boolean", "date"}),
    "timestamp": frozenset({"numeric", "bigint", "boolean"}),
    "date": frozenset({"numeric", "bigint", "boolean"}),
}
"""Type of the vendor's field -> column types that no value of it fits. A text may hold anything, so it may be mapped
onto any column; values that do not fit are kept with their reason."""


def check_mapping(declared: SyncObject, provider: str, mapping: Mapping, schema: ObjectSchema) -> None:
    """ConfigurationError naming the field and the fix when the mapping can never work on this account."""
    sources, additional = resolve_mapping(declared, provider, mapping)
    known = {field.name.casefold(): field for field in schema.fields}
    types = {field.name: field.type for field in declared.custom_schema.fields} if declared.custom_schema else {}
    for name, source in {**sources, **additional}.items():
        if source is None or name not in mapping.fields:
            continue
        found = known.get(source.casefold())
        if found is None:
            raise ConfigurationError(f"The account has no readable field {source} (for {name}).{_hint(source, known)}")
        if types.get(name, "text") in NEVER_FITS.get(found.type, frozenset()):
            raise ConfigurationError(
                f"The field {found.name} is {_article(found)} and can never fill {name}, which is {types[name]}: map "
                "another field, or change the type in the custom schema."
            )


def _hint(name: str, known: MappingOf[str, VendorField]) -> str:
    close = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(known[item].name for item in close)}?" if close else ""


def _article(field: VendorField) -> str:
    return f"{'an' if field.type[0] in 'aeiou' else 'a'} {field.type}"
