"""One process of ours in a life: a project that runs, is watched at its steps, dies and is started again."""

import logging
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from pydantic import SecretStr

from sync_pipelines.engine import ahead
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.providers.salesforce import bulk
from sync_pipelines.settings import DEVELOPMENT_KEY, Settings
from sync_pipelines_tests.simulation.reading import read_in_turns
from sync_pipelines_tests.simulation.setup import SYNC, configuration


class Process:
    """A Project of the life's setup. `end` it, also after it was cut off."""

    def __init__(self, ground, times, setup):
        self._setup = setup
        settings = Settings(
            environment="development",
            store_url=SecretStr(ground.store_url),
            encryption_keys=SecretStr(DEVELOPMENT_KEY),
            syncs_dir=Path(),
            application_id="simulated",
            connections_at_once=1,
            chunk_rows=setup.chunk_rows,
            retry_attempts=setup.attempts,
            request_timeout_seconds=60,
        )
        self.project = Project(settings, configuration(setup, ground), sleep=times.sleep)

    @property
    def table(self):
        return self.project.table(SYNC, self._setup.word).name

    @property
    def scope(self):
        return ("simulated", self._setup.vendor, self._setup.customer)

    def connect(self, account, tokens):
        self.project.store.connections.connect(
            customer_id=account.id,
            provider=account.vendor,
            environment=account.environment,
            tokens=Tokens(access_token=Secret(tokens["access_token"]), refresh_token=Secret(tokens["refresh_token"])),
            api_url=account.api_url,
        )

    def connection(self):
        return self.project.store.connections.get(self._setup.customer, self._setup.vendor)

    def map(self, fields):
        self.project.store.mappings.save(self._setup.customer, self._setup.vendor, self._setup.word, fields)

    def sync(self, *, full=False, at_step=lambda step, passing: None):
        """One run of the work. `at_step` is called at every step with how often it was passed before."""
        passed = Counter()

        def observe(step):
            passing = passed[step]
            passed[step] += 1
            at_step(step, passing)

        work = {self._setup.word: [self._setup.customer]}
        (run,) = self.project.sync_objects(SYNC, work, run_id=uuid.uuid4().hex, full=full, observe=observe)
        return run

    def end(self):
        self.project.close()


@contextmanager
def disciplined(setup):
    """The engine reads ahead by turns, Bulk has small pages, and what it logs of our many errors is not printed."""
    silent = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        stack.callback(logging.disable, silent)
        stack.enter_context(patch.object(ahead, "read_ahead", partial(read_in_turns, ahead=setup.ahead)))
        stack.enter_context(patch.object(bulk, "FEWEST_ROWS", setup.bulk_page))
        stack.enter_context(patch.object(bulk, "MOST_ROWS", setup.bulk_page))
        yield
