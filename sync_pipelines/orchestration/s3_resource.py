"""Buckets reached with the credentials of dagster-aws: for projects that configure S3 once, in Dagster.

A module of its own, as dagster-aws takes two seconds to import.
"""

from typing import Any

from dagster_aws.s3 import S3Resource

from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import Project


class SyncProjectOnS3(SyncProject):
    """The project, whose buckets without keys of their own are reached through `s3`."""

    s3: S3Resource

    def open(self) -> Project:
        project = super().open()
        if project.s3_client is None:
            client: Any = self.s3.get_client()
            project.s3_client = lambda: client
        return project
