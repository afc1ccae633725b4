"""Fewer, fuller files for syncs into S3 or a folder; runs do it by themselves when there are many."""

import typer

from sync_pipelines.cli.printing import console, table
from sync_pipelines.cli.run import Objects
from sync_pipelines.cli.steer import Customers, Name


def register(app: typer.Typer) -> None:
    app.command("compact")(compact)


def compact(name: Name, customer: Customers = None, object_name: Objects = None) -> None:
    """Merge a sync's small files, and remove replaced ones that no reader needs any more. Safe beside runs."""
    from sync_pipelines.compacting import compact as compacted
    from sync_pipelines.model.destination import Compacted
    from sync_pipelines.project import opened

    with opened(with_store=True) as project, console.status(f"{name}: compacting ..."):
        objects = object_name or [each.object for each in project.sync(name).objects]
        found = {each: sum(compacted(project, name, each, customer or ()), Compacted()) for each in objects}
    table(
        f"Files of {name}",
        ("object", "merged", "removed"),
        ((each, done.merged, done.removed) for each, done in found.items()),
        right=("merged", "removed"),
    )
