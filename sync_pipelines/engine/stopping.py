"""Asking work to stop: one customer's, or all of it, at once or where it has stored something."""

import threading


class Stops:
    """Events that work looks at between two calls and wakes up by. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all = threading.Event()
        self._of: dict[str, threading.Event] = {}
        self._cancelled: set[str] = set()
        self._giving_way: set[str] = set()

    def of(self, customer_id: str) -> threading.Event:
        """Set when this customer's work is to stop, for whatever reason."""
        with self._lock:
            found = self._of.get(customer_id)
            if found is None:
                found = self._of[customer_id] = threading.Event()
                if self._all.is_set():
                    found.set()
            return found

    def set(self) -> None:
        """The process is to end: everything stops, and comes back as soon as it can."""
        with self._lock:
            self._all.set()
            for event in self._of.values():
                event.set()

    def is_set(self) -> bool:
        """Whether everything is to stop."""
        return self._all.is_set()

    def cancel(self, customer_id: str) -> None:
        """Somebody wants this customer's work stopped: it comes back at its regular time."""
        with self._lock:
            self._cancelled.add(customer_id)
        self.of(customer_id).set()

    def give_way(self, customer_id: str) -> None:
        """Others wait: what of this customer is at work ends where it has next stored something; nothing more begins.

        All of it comes back as soon as there is a place.
        """
        with self._lock:
            self._giving_way.add(customer_id)

    def gives_way(self, customer_id: str) -> bool:
        with self._lock:
            return customer_id in self._giving_way

    def is_cancelled(self, customer_id: str) -> bool:
        with self._lock:
            return customer_id in self._cancelled
