"""A configuration as it can be kept and compared: everything that it says, and no secret.

Two forms. The parts are what the documents mean, with defaults left out, so that two configurations are equal when they
do the same. The documents are what was written, references to the environment included, so that files can be made of
them again.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec
from pydantic import BaseModel, SecretStr

from sync_pipelines.config.configuration import Configuration
from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.mapping import SchemaField
from sync_pipelines.model.secret import MASK, Secret
from sync_pipelines.model.sync import SyncObject

Parts: TypeAlias = Mapping[str, Mapping[str, Any]]
"""{"providers": {name: part}, "destinations": ..., "syncs": ...}, as JSON values."""

KINDS = ("providers", "destinations", "syncs")

_ONE_OF_A_KIND = frozenset(kind.__module__ for kind in (Configuration, OAuthClient, SchemaField, SyncObject))
"""Modules whose classes are each alone in their place. Others (a filter's conditions) are told apart by their names."""

_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]*(?=@)")
_REFERENCES = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")


def parts_of(configuration: Configuration) -> Parts:
    """What a configuration means. Secrets are left out; objects and fields of a schema stand under their names."""
    return {kind: {name: _told(part) for name, part in getattr(configuration, kind).items()} for kind in KINDS}


def digest_of(value: Any) -> str:
    """The same for equal JSON values, whatever the order of their keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _told(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        kind = {} if type(value).__module__ in _ONE_OF_A_KIND else {"is": type(value).__name__}
        return kind | {name: _told(item) for name, item in _said(value)}
    if isinstance(value, Mapping):
        return {str(name): _told(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return _listed(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, set | frozenset):
        return sorted((_told(item) for item in value), key=repr)
    return without_user(value) if isinstance(value, str) else msgspec.to_builtins(value)


def _said(value: Any) -> Iterator[tuple[str, Any]]:
    """What is not as it would be had nothing been written: a new setting with a default changes no older snapshot."""
    for each in fields(value):
        item = getattr(value, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if not isinstance(item, Secret) and (default is MISSING or item != default):
            yield each.name, item


def _listed(values: list[Any] | tuple[Any, ...]) -> Any:
    for kind, key in ((SyncObject, "object"), (SchemaField, "name")):
        if values and all(isinstance(item, kind) for item in values):
            return {
                getattr(item, key): {name: told for name, told in _told(item).items() if name != key} for item in values
            }
    return [_told(item) for item in values]


def without_user(text: str) -> str:
    """The text without what stands before the @ of a URL."""
    return _USER_IN_URL.sub(MASK, text)


def without_secrets(content: BaseModel, value: Any, name: str) -> Any:
    """A copy of a written document in which every secret is a reference to the environment.

    A secret that was written out, or as a reference's default, becomes a reference: what it was is not kept.
    """
    return _replaced(content, value, (name,))


def _replaced(content: Any, value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(content, SecretStr):
        return _reference(value, path)
    if isinstance(value, dict):
        return {key: _replaced(_inner(content, key), item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        inner = content if isinstance(content, list | tuple) and len(content) == len(value) else [None] * len(value)
        return [_replaced(one, item, path) for one, item in zip(inner, value, strict=True)]
    return without_user(value) if isinstance(value, str) else value


def _inner(content: Any, key: str) -> Any:
    return getattr(content, key, None) if isinstance(content, BaseModel) else None


def _reference(value: Any, path: tuple[str, ...]) -> Any:
    text = str(value)
    names = _REFERENCES.findall(text)
    if value == "" or (names and re.fullmatch(r"\$\{\w+(?::-)?\}", text)):
        return value
    invented = re.sub(r"[^A-Z0-9]+", "_", "_".join((path[0], path[-1])).upper()).strip("_")
    return f"${{{names[0] if names else invented}}}"
