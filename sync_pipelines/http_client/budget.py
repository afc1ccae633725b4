"""What one connected account may still be asked: the vendor's count, what is under way, and the reserve.

The vendor's own count is the truth that all processes and the customer's other apps share; it comes with the answers.
Between two answers this process adds what it has under way, so that alone it never takes a call out of the reserve.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from sync_pipelines.model.budget import Hold, Quota, spendable
from sync_pipelines.model.errors import Wait

Count: TypeAlias = tuple[int, int]
"""(used, allowed) calls in the vendor's period."""


@dataclass
class SentCall:
    """One call under way. `told`: what its answer said, None when it said nothing."""

    answers_before: int
    silent_before: int
    told: Count | None = None


class AccountBudget:
    """Shared by all sessions of an account in this process. `now` is our clock, UTC."""

    def __init__(
        self,
        title: str = "The vendor",
        reserve: float = 0.0,
        quota: Quota | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._title = title
        self._reserve = reserve
        self._quota = quota or Quota()
        self._now = now
        self._changed = threading.Condition()
        self._count: Count | None = None
        self._under_way = 0
        self._answers = 0
        self._silent = 0
        self._hold: Hold | None = None

    @property
    def hold(self) -> Hold | None:
        """Until when nobody may call, and why; None when calls are free."""
        with self._changed:
            return self._present_hold()

    def refuse_if_held(self) -> None:
        """Wait while there is a hold."""
        hold = self.hold
        if hold is not None:
            raise Wait(hold.reason, until=hold.until, whole_account=True)

    def stay_away(self, hold: Hold) -> None:
        """The vendor wants no call of this account; the longest of several holds counts."""
        with self._changed:
            known = self._present_hold()
            if known is None or known.until < hold.until:
                self._hold = hold
            self._changed.notify_all()

    @contextmanager
    def call(self) -> Iterator[SentCall]:
        """For the time of one request, whose answer's count belongs into `told`. Wait when no call is left.

        Where the calls under way might use up what is left, it waits for their answers first: they tell what is true.
        """
        with self._changed:
            self._changed.wait_for(self._is_certain)
            hold = self._present_hold()
            if hold is not None:
                raise Wait(hold.reason, until=hold.until, whole_account=True)
            self._under_way += 1
            sent = SentCall(self._answers, self._silent)
        try:
            yield sent
        finally:
            with self._changed:
                self._under_way -= 1
                self._learn(sent)
                self._answers += 1
                self._silent += sent.told is None
                self._changed.notify_all()

    def _is_certain(self) -> bool:
        """Whether it is known that one more call is free, or that none is."""
        if self._under_way == 0 or self._present_hold() is not None:
            return True
        if self._count is None:
            # The first answer tells how much there is.
            return not self._quota.always_told or self._silent > 0
        used, allowed = self._count
        return used + self._under_way < spendable(allowed, self._reserve)

    def _learn(self, sent: SentCall) -> None:
        if sent.told is None:
            if self._count is not None:
                self._count = (self._count[0] + 1, self._count[1])
        else:
            used, allowed = sent.told
            used += self._silent - sent.silent_before
            if self._count is not None and 0 < self._count[0] - used <= self._answers - sent.answers_before:
                # An answer that was overtaken by later ones; a count that fell further is a new period.
                used = self._count[0]
            self._count = (used, allowed)
        if self._count is not None and self._count[0] >= spendable(self._count[1], self._reserve):
            self._begin_hold(*self._count)

    def _begin_hold(self, used: int, allowed: int) -> None:
        if self._present_hold() is None:
            reason = (
                f"{used:,} of {allowed:,} calls that {self._title} allows this account are used, and "
                f"{self._reserve:.0%} are left to its other apps; the sync goes on by itself when calls are free. "
                "If that happens often: sync less often, buy more calls, or lower the provider's `reserve`."
            )
            self._hold = Hold(until=self._now() + self._quota.pause, reason=reason)

    def _present_hold(self) -> Hold | None:
        if self._hold is not None and self._now() >= self._hold.until:
            # What was counted before says nothing of now: the next call goes alone and tells.
            self._hold, self._count, self._silent = None, None, 0
        return self._hold
