"""Many lives in processes side by side, on one Postgres."""

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from sync_pipelines.embedded_postgres import EmbeddedPostgres
from sync_pipelines_tests.fixtures.quick_folder import quick_folder
from sync_pipelines_tests.simulation.ground import ground_on, url_of
from sync_pipelines_tests.simulation.life import lived

_here = ExitStack()
_ground = None


@contextmanager
def lives(seeds, jobs, *, shaped=False):
    """The stories of the seeds in their order (`shaped`: of their other lives), lived side by side on one Postgres."""
    with quick_folder() as folder, EmbeddedPostgres(folder, durable=False) as server:
        context = multiprocessing.get_context("spawn")
        place = (url_of(server), server.host)
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_settle, initargs=place) as pool:
            try:
                yield pool.map(partial(_live, shaped=shaped), seeds, chunksize=max(1, min(10, len(seeds) // jobs)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _settle(url, host):
    """In a process that lives lives: its ground, for as long as it is there."""
    global _ground
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    _ground = _here.enter_context(ground_on(url, host))


def _live(seed, *, shaped):
    return lived(_ground, seed, shaped=shaped)
