"""Reading ahead by a fixed number of items, in one thread, so that what comes before what is decided by the seed."""

from collections import deque
from contextlib import contextmanager


@contextmanager
def read_in_turns(source, size_of, *, ahead):
    """In place of `engine.ahead.read_ahead`: items in their order, `ahead` of them made before one is handed out."""
    try:
        yield _in_turns(source, ahead)
    finally:
        source.close()


def _in_turns(source, ahead):
    made, error = deque(), None
    while True:
        while error is None and len(made) <= ahead:
            try:
                made.append(next(source))
            except StopIteration as end:
                error = end
            except Exception as problem:  # raised again behind the items before it, as the real one does
                error = problem
        if made:
            yield made.popleft()
        elif isinstance(error, StopIteration):
            return
        else:
            raise error
