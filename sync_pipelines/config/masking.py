"""Secrets of documents that were sent: taken out before one is stored or shown, put back where it is used."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from sync_pipelines.model.secret import MASK

SECRET_KEYS: Final = frozenset({"client_secret", "password", "secret_access_key", "session_token"})
"""What stands under these keys of a provider or a destination is a secret, wherever in the document."""

Secrets: TypeAlias = Mapping[str, str]
"""By the path of each in its document, such as `oauth.client_secret`."""


def secrets_of(document: Mapping[str, Any]) -> dict[str, str]:
    """What is a secret in a document; a mask is none, nor is an empty text."""
    return {
        path: text for path, text in _under_secret_keys(document) if isinstance(text, str) and text not in ("", MASK)
    }


def masks_of(document: Mapping[str, Any]) -> list[str]:
    """Paths at which a document has a mask in place of a secret."""
    return [path for path, text in _under_secret_keys(document) if text == MASK]


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with a mask for each secret."""
    return with_secrets(document, dict.fromkeys(secrets_of(document), MASK))


def with_secrets(document: Mapping[str, Any], secrets: Secrets, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """A copy with these secrets, which stand in mappings that the document has."""
    copied: dict[str, Any] = {
        key: with_secrets(value, secrets, (*path, key)) if isinstance(value, Mapping) else value
        for key, value in document.items()
    }
    for place, text in secrets.items():
        *above, key = place.split(".")
        if tuple(above) == path:
            copied[key] = text
    return copied


def left_out(document: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    """Those of the known secrets' paths that a document leaves out where they stood, or has a mask for. One that is
    null or empty is not wanted any more, and so is one whose surroundings are gone."""
    for place in known:
        *above, key = place.split(".")
        around: Any = document
        for step in above:
            around = around.get(step) if isinstance(around, Mapping) else None
        if isinstance(around, Mapping) and around.get(key, MASK) == MASK:
            yield place


def _under_secret_keys(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in SECRET_KEYS:
                yield ".".join((*path, key)), item
            yield from _under_secret_keys(item, (*path, key))
