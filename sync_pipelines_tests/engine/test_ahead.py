"""Reading ahead: order, errors, ends, and how much may wait."""

import threading

import pytest

from sync_pipelines.engine.ahead import read_ahead, read_ahead_if_long

PATIENCE = 20
"""Seconds after which a test that waits for what never comes fails."""


class Source:
    """Items that are made one by one: `made[n]` is set once item n was asked for, `closed` when the source was."""

    def __init__(self, items, error=None):
        self.items, self.error = items, error
        self.made = [threading.Event() for _ in items]
        self.closed = threading.Event()
        self.threads = set()

    def __iter__(self):
        try:
            for item, made in zip(self.items, self.made, strict=True):
                self.threads.add(threading.current_thread())
                made.set()
                yield item
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()

    def is_at_rest(self):
        return self.closed.is_set() and not any(thread.is_alive() for thread in self.threads)


def one_byte(item):
    return 1


def test_items_come_in_their_order_from_a_thread_of_its_own():
    source = Source(list(range(1_000)))
    with read_ahead(iter(source), one_byte) as items:
        assert list(items) == source.items
    (thread,) = source.threads
    assert thread is not threading.current_thread()
    assert source.is_at_rest()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_of_the_source_comes_after_the_items_before_it(count):
    source, taken = Source(list(range(count)), LookupError("the vendor is gone")), []
    with read_ahead(iter(source), one_byte) as items:
        for _ in range(count):
            taken.append(next(items))
        with pytest.raises(LookupError, match="the vendor is gone"):
            next(items)
    assert taken == source.items
    assert source.is_at_rest()


def test_the_source_is_asked_for_more_while_an_item_is_being_used():
    source = Source(["a", "b", "c"])
    with read_ahead(iter(source), one_byte) as items:
        assert next(items) == "a"
        assert all(made.wait(PATIENCE) for made in source.made)


def test_a_consumer_that_stops_early_stops_and_closes_the_source():
    source = Source(list(range(100)))
    with read_ahead(iter(source), lambda item: 10, most=10) as items:
        assert [next(items), next(items)] == [0, 1]
    assert source.is_at_rest()
    assert not source.made[3].is_set()


def test_a_consumer_that_fails_stops_and_closes_the_source():
    source = Source(list(range(100)))

    def fail():
        with read_ahead(iter(source), lambda item: 10, most=10) as items:
            next(items)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert source.is_at_rest()


def test_a_consumer_that_wants_nothing_ends_all_the_same():
    source = Source(list(range(100)))
    with read_ahead(iter(source), lambda item: 10, most=10):
        pass
    assert source.is_at_rest()
    assert not source.made[1].is_set()


def test_never_more_than_one_large_item_waits():
    alive, most, lock = 0, 0, threading.Lock()

    def large_items():
        nonlocal alive, most
        for number in range(50):
            with lock:
                alive += 1
                most = max(most, alive)
            yield number

    with read_ahead(large_items(), lambda item: 100, most=100) as items:
        for _ in items:
            # Until here this one was in use, and one more may wait.
            with lock:
                alive -= 1
    assert most <= 2


def test_small_items_wait_together_up_to_the_bound():
    source = Source(list(range(100)))
    with read_ahead(iter(source), lambda item: 10, most=40) as items:
        assert next(items) == 0
        # Five are made: the one in use, and four that wait.
        assert source.made[4].wait(PATIENCE)
    assert not source.made[5].is_set()
    assert source.is_at_rest()


def test_an_error_at_closing_the_source_reaches_the_consumer():
    class Unclosable:
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

        def close(self):
            raise OSError("the line is gone")

    taken = []

    def take():
        try:
            with read_ahead(Unclosable(), one_byte) as items:
                taken.extend(items)
        except OSError as problem:
            taken.append(str(problem))

    consumer = threading.Thread(target=take, daemon=True)
    consumer.start()
    consumer.join(PATIENCE)
    assert taken == ["the line is gone"]


def test_a_short_read_needs_no_thread_and_a_long_one_is_read_ahead():
    def source(names):
        for name in names:
            made_in.append(threading.current_thread())
            yield name

    for names, alone in ((["last"], True), ([], True), (["one", "two", "last"], False)):
        made_in = []
        with read_ahead_if_long(source(names), len, lambda name: name == "last") as items:
            assert list(items) == names
        assert all(thread is threading.current_thread() for thread in made_in) == alone


def test_an_error_of_a_short_read_comes_out_of_it():
    def source():
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError), read_ahead_if_long(source(), len, bool) as items:
        list(items)
