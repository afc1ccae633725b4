"""Fewer, fuller files of a project's syncs."""

from collections.abc import Iterator, Sequence

from sync_pipelines.model.destination import Compacted, Compacts
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.project import Project


def compact(project: Project, sync: str, object_name: str, customers: Sequence[str] = ()) -> Iterator[Compacted]:
    """Merge the files of an object, customer by customer. ConfigurationError where the destination has no files."""
    declared, known = project.sync(sync), project.declared(sync, object_name)
    for connection in project.connections(sync, customers):
        destination = project.destination(declared, connection.customer_id)
        if not isinstance(destination, Compacts):
            raise ConfigurationError(f"The destination {declared.destination} is not made of files.")
        scope = project.scope_of(declared, known, connection.customer_id)
        yield destination.compact(scope, project.table(sync, object_name))
