"""The code location: `dagster dev`, `dg check defs` and `dagster definitions validate` load `defs` from here.

Reads the configuration (the syncs folder, and the store for syncs made by API). Where the store is down or none is set,
the assets of the files show.
"""

from sync_pipelines.logs import configure
from sync_pipelines.logs.setup import OURS
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.forking import fork_runs
from sync_pipelines.project import opened
from sync_pipelines.settings import read_log_settings

# Dagster writes the lines of its own loggers.
configure(read_log_settings(), logger=OURS)
fork_runs()
with opened() as project:
    defs = definitions_of(project)
    mark = project.together.mark
    """Of the syncs made by API that are among them."""
