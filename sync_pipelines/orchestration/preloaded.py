"""Everything that a run imports. Only the fork server imports this module, once for all runs; it starts no thread.

The definitions are not among it: each run reads the configuration as it is when the run begins.
"""

import gc

import psycopg2.extras  # type: ignore[import-untyped]  # noqa: F401
import upath.implementations.local  # noqa: F401
from dagster._core.executor import in_process  # noqa: F401
from dagster._core.secrets import env_file  # noqa: F401
from dagster._core.storage import local_compute_log_manager, root  # noqa: F401
from dagster._core.workspace import autodiscovery  # noqa: F401
from dagster._grpc import impl  # noqa: F401

from sync_pipelines.orchestration import assembly, launching, storage  # noqa: F401

# What is there now stays for ever: runs need not look through it, and so do not copy its pages.
gc.collect()
gc.freeze()
