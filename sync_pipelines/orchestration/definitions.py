"""The code location: `dagster dev`, `dg check defs` and `dagster definitions validate` load `defs` from here.

Reads the configuration (the syncs folder, and the store for syncs made by API). Where the store is down or none is set,
the assets of the files show.
"""

from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.forking import fork_runs
from sync_pipelines.project import opened

fork_runs()
with opened() as project:
    defs = definitions_of(project)
