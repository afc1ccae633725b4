"""Time that only the schedule moves: our clock and the vendor's, for everything that decides by them."""

import math
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import patch

from sync_pipelines.engine import side_by_side
from sync_pipelines.http_client import answers, auth, client, keeping, retry
from sync_pipelines.http_client.budget import AccountBudget
from sync_pipelines.http_client.pace import Pace
from sync_pipelines.providers.hubspot import answers as hubspot_answers
from sync_pipelines.providers.salesforce import answers as salesforce_answers
from sync_pipelines.store import budgets

BEGINNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DECIDE_BY_DATES = (client, retry, answers, auth, hubspot_answers, salesforce_answers, side_by_side, budgets)


class Times:
    """`ours`: our clock, `skew` seconds ahead of the vendor's at the beginning. Sleeping moves both at once."""

    def __init__(self, control, skew):
        self._control = control
        self._skew = skew
        self._passed = 0
        self._paces = {}
        self.slept = 0

    def vendor(self):
        return self._control.now()

    def ours(self, zone=None):
        return (BEGINNING + timedelta(seconds=self._skew + self._passed)).astimezone(zone)

    def monotonic(self):
        return float(self._passed)

    def sleep(self, seconds):
        """In whole seconds, so that the last digit of a computed wait decides nothing."""
        self.slept += 1
        self.go_on(math.ceil(seconds))

    def go_on(self, seconds):
        self._passed += seconds
        self._control.clock(advance=seconds)

    def step_back(self, seconds):
        """The vendor's clock alone."""
        self._control.clock(advance=-seconds)

    def forget_paces(self):
        """As a new process does."""
        self._paces.clear()

    def pace_of(self, provider, connection, reserve):
        if provider.name not in self._paces:
            pace = self._paces[provider.name] = Pace(provider.limits, clock=self.monotonic, reserve=reserve)
            pace.budget = AccountBudget(provider.title, reserve, provider.quota, now=lambda: self.ours(UTC))
        return self._paces[provider.name]

    @contextmanager
    def in_force(self):
        class Moment(datetime):
            @classmethod
            def now(cls, tz=None):
                return times.ours(tz)

        times = self
        with ExitStack() as stack:
            for module in DECIDE_BY_DATES:
                stack.enter_context(patch.object(module, "datetime", Moment))
            for module in (client, keeping):
                stack.enter_context(patch.object(module, "time", SimpleNamespace(monotonic=self.monotonic)))
            stack.enter_context(patch.object(client, "pace_of", self.pace_of))
            yield self
