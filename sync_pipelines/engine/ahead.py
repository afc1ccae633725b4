"""Reading ahead: the vendor is asked for the next records while a chunk is being stored."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from itertools import chain, islice
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

AHEAD_BYTES: Final = 4 * 1024 * 1024
"""The next item is made when less than this waits: many small ones, or one large one."""


class _Ended(Generic[Item]):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Queue(Generic[Item]):
    """Items with their sizes; the producer waits until little is left of them, or is told to give up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0
        self._changed = threading.Condition()
        self._items: queue.SimpleQueue[tuple[Item | _Ended[Item], int]] = queue.SimpleQueue()
        self._given_up = False

    def put(self, item: Item | _Ended[Item], size: int) -> bool:
        """False when nobody wants more."""
        with self._changed:
            self._waiting += size
        self._items.put((item, size))
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < self._most or self._given_up)
            return not self._given_up

    def take(self) -> Item | _Ended[Item]:
        item, size = self._items.get()
        with self._changed:
            self._waiting -= size
            self._changed.notify()
        return item

    def give_up(self) -> None:
        with self._changed:
            self._given_up = True
            self._changed.notify()


@contextmanager
def read_ahead(
    source: Iterator[Item], size_of: Callable[[Item], int], *, most: int = AHEAD_BYTES
) -> Iterator[Iterator[Item]]:
    """`source`'s items in their order, taken from it in a thread of its own, ahead until `most` bytes wait.

    An error of the source comes after the items before it. The source is used by that thread alone until this context
    ends; it is closed then, after the call that is under way.
    """
    items: _Queue[Item] = _Queue(most)
    # With this thread's context, so that what it logs says whose work it is.
    run = copy_context().run
    thread = threading.Thread(target=run, args=(_produce, source, size_of, items), name="read ahead", daemon=True)
    thread.start()
    try:
        yield _taken(items)
    finally:
        items.give_up()
        thread.join()


@contextmanager
def read_ahead_if_long(
    source: Iterator[Item], size_of: Callable[[Item], int], is_last: Callable[[Item], bool]
) -> Iterator[Iterator[Item]]:
    """`read_ahead`, without its thread where the first item says that it is the last one.

    Most reads find little or nothing, and a thread costs as much as a question to a database.
    """
    first = list(islice(source, 1))
    if not first or is_last(first[0]):
        try:
            yield chain(first, source)
        finally:
            _close(source)
        return
    with read_ahead(source, size_of) as rest:
        yield chain(first, rest)


def _produce(source: Iterator[Item], size_of: Callable[[Item], int], items: _Queue[Item]) -> None:
    error: BaseException | None = None
    try:
        _fill(items, source, size_of)
    except BaseException as problem:  # raised again where the items are taken
        error = problem
    items.put(_Ended(error), 0)


def _fill(items: _Queue[Item], source: Iterator[Item], size_of: Callable[[Item], int]) -> None:
    try:
        for item in source:
            if not items.put(item, size_of(item)):
                break
    finally:
        _close(source)


def _close(source: Iterator[Item]) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


def _taken(items: _Queue[Item]) -> Iterator[Item]:
    while True:
        item = items.take()
        if isinstance(item, _Ended):
            if item.error is not None:
                raise item.error
            return
        yield item
