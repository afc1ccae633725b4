"""A text that never prints itself."""

import weakref
from typing import Final

MASK: Final = "***"


class Secret:
    """Wraps a secret text; `reveal()` is the only way to it, so a search finds every use."""

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        _known[id(self)] = self

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled")


_known: Final[weakref.WeakValueDictionary[int, Secret]] = weakref.WeakValueDictionary()
"""By identity: equal ones end at different times."""


def known_texts() -> set[str]:
    """The texts of all that are in use, so that they can be kept out of what is told."""
    return {secret.reveal() for secret in list(_known.values())}
