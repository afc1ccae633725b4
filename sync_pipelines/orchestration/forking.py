"""Runs begin as forks of one process that has imported everything, instead of importing it each for itself.

A code server of Dagster starts each run as a new interpreter, of whose two seconds of CPU imports are the most. Here
its processes come from Python's own fork server (docs/adr/0019). Of Dagster's private matters it touches one attribute.
"""

import sys
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any, Final

PRELOADED: Final = "sync_pipelines.orchestration.preloaded"
"""Imported once by the fork server."""

_SERVER: Final = "dagster._grpc.server"
_CONTEXT: Final = "_mp_ctx"
"""Of a code server: where it takes its processes from."""


def fork_runs() -> bool:
    """If this process is a code server, let its runs be forked from now on. Says whether they will be.

    A version of Dagster that starts its runs in another way goes on doing so.
    """
    module = sys.modules.get(_SERVER)
    server = getattr(module, "DagsterApiServer", None)
    if server is None or "forkserver" not in get_all_start_methods():
        return False
    context = get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    setattr(server, _CONTEXT, _Always(context))
    return True


class _Always:
    """A class attribute that wins over what an instance was given under its name, before or after."""

    def __init__(self, context: BaseContext) -> None:
        self._context = context

    def __get__(self, instance: object, owner: type) -> BaseContext:
        return self._context

    def __set__(self, instance: object, value: Any) -> None:
        """The server sets its own; the fork server stays."""
