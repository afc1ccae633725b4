"""Everything that a run imports. Only the fork server imports this module, once for all runs; it starts no thread.

The definitions are not among it: each run reads the configuration as it is when the run begins.
"""

import gc

import dagster_postgres  # noqa: F401
from dagster._grpc import impl  # noqa: F401

from sync_pipelines.orchestration import assembly, launching  # noqa: F401

# What is there now stays for ever: runs need not look through it, and so do not copy its pages.
gc.collect()
gc.freeze()
