"""What a line of the log is about: fields that hold for all that is said while something is being done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

FIELDS: Final = ("request_id", "run_id", "sync", "object", "provider", "customer_id")
"""In the order in which they are shown."""

_bound: Final[ContextVar[Mapping[str, str]]] = ContextVar("fields", default=MappingProxyType({}))


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """These of FIELDS belong to every line that is said within the block, in this thread and in those that copy its
    context."""
    before = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(before)


def fields_now() -> Mapping[str, str]:
    return _bound.get()
