"""Who has no bucket does not pay for the libraries of one."""

import subprocess
import sys

PROGRAM = """
import sys
import sync_pipelines.project, sync_pipelines.orchestration.assembly, sync_pipelines.cli
print([name for name in ("pyarrow", "boto3", "dagster_aws") if name in sys.modules])
from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.destinations import open_destination
open_destination(S3DestinationConfig(name="lake", folder="nowhere"), "acme")
print([name for name in ("pyarrow", "boto3", "dagster_aws") if name in sys.modules])
"""


def test_libraries_of_files_are_imported_when_a_destination_needs_them():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[]", "['pyarrow']"]
