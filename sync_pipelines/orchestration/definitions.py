"""The code location: `dagster dev`, `dg check defs` and `dagster definitions validate` load `defs` from here.

Reads the configuration (the syncs folder) and asks no database, so the assets show while the store is down.
"""

from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.forking import fork_runs
from sync_pipelines.project import open_project

fork_runs()
defs = definitions_of(open_project())
