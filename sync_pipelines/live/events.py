"""The loop that applies what vendors told, objects of connections side by side.

Several processes may do it: who works on an object of a connection holds the lease of its events.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeAlias

from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.http_client.keeping import kept_sessions
from sync_pipelines.live.applying import Applying
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import Observer
from sync_pipelines.project import Project, ignore
from sync_pipelines.store.vendor_events import Group

LOOK_EVERY: Final = 0.25
"""Seconds between two looks for events."""
CALL_TRIES: Final = 2
"""Of one vendor call: an event comes back by itself, and others wait for the thread."""

Key: TypeAlias = tuple[int, str]


class EventsLoop:
    """`until` is the loop. `observe` is told of each step."""

    def __init__(self, project: Project, *, observe: Observer = ignore) -> None:
        self._project = project
        self._observe = observe
        self._under_way: dict[Key, Future[float]] = {}
        self._not_before: dict[Key, float] = {}

    def until(self, stop: threading.Event, turn: Callable[[], None] = lambda: None) -> None:
        """Apply what comes, until `stop` is set; what is under way then comes to its end first. `turn` is called at
        every look for events."""
        at_once = self._project.settings.live_at_once
        with (
            kept_sessions(self._session) as sessions,
            ThreadPoolExecutor(at_once, thread_name_prefix="live") as pool,
        ):
            applying = Applying(self._project, sessions, self._observe)
            while not stop.is_set():
                turn()
                self._take_results()
                groups = self._next_groups(at_once - len(self._under_way))
                if groups:
                    # A sync may have been made by API since the last look.
                    self._project.together.refresh()
                for group in groups:
                    key = (group.connection_id, group.object)
                    self._not_before[key] = time.monotonic() + self._project.settings.live_gather_seconds
                    self._under_way[key] = pool.submit(applying.apply, group)
                stop.wait(LOOK_EVERY)
            wait(self._under_way.values())
        self._take_results()

    def _session(self, connection: Connection) -> VendorSession:
        return self._project.session(connection, attempts=CALL_TRIES)

    def _take_results(self) -> None:
        now = time.monotonic()
        for key in [key for key, future in self._under_way.items() if future.done()]:
            pause = self._under_way.pop(key).result()
            self._not_before[key] = max(self._not_before[key], now + pause)
        self._not_before = {key: at for key, at in self._not_before.items() if at > now or key in self._under_way}

    def _next_groups(self, room: int) -> list[Group]:
        """Of which we do not work on any, and that were left alone for long enough."""
        if room <= 0:
            return []
        busy = self._not_before.keys() | self._under_way.keys()
        found = self._project.store.vendor_events.groups(room + len(busy))
        return [each for each in found if (each.connection_id, each.object) not in busy][:room]
