"""What assets and sensors are given: the opened project."""

import dagster as dg
from pydantic import PrivateAttr

from sync_pipelines.project import Project, open_project


class SyncProject(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project, opened at its first use and shared by everything in one run or sensor tick.

    Not opened before: a store that is down must fail the partitions that wanted it, not the resource, so that they show
    as failed.
    """

    _opened: Project | None = PrivateAttr(default=None)

    def open(self) -> Project:
        """ConfigurationError when the configuration is broken."""
        if self._opened is None:
            self._opened = open_project()
        return self._opened

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
