"""Versions of the configuration that were applied: who, when, what, and the way back."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.printing import say, table
from sync_pipelines.cli.steer import whoami

if TYPE_CHECKING:
    from sync_pipelines.store import AppliedVersion

group = typer.Typer(name="config", help="Versions of the configuration, as they were applied.", no_args_is_help=True)

Version = Annotated[int, typer.Argument(min=1, help="The version's number")]


def register(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command("history")
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Which configurations were applied, by whom, when, and what each changed. The newest is in effect."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.configurations.history(limit)
    if as_json:
        print(json.dumps([_json(each) for each in found], indent=2))
        return
    if not found:
        say("Nothing was applied yet: see `sync-pipelines plan`.")
        return
    table(
        "Versions of the configuration",
        ("version", "applied", "by", "digest", "what changed"),
        [(each.version, each.applied_at, each.actor, each.digest[:12], _short(each)) for each in found],
        right=("version",),
    )


@group.command("show")
def show(
    version: Version,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with what the documents mean.")] = False,
) -> None:
    """The documents of a version, as they were written; secrets are references to the environment."""
    from sync_pipelines.configuration_files import files_of
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.configurations.get(version)
    if as_json:
        print(json.dumps({**_json(found), "files": files_of(found.documents), "parts": found.parts}, indent=2))
        return
    say(f"Version {found.version}, applied by {found.actor} at {found.applied_at:%F %T}", style="bold")
    for sentence in found.summary:
        say(f"  {sentence}.")
    for name, text in files_of(found.documents).items():
        say(f"\n# {name}", style="bold")
        say(text.rstrip("\n"))


@group.command("rollback")
def rollback(
    version: Version,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the older files; left out: syncs-version-<number>.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole plan as JSON.")] = False,
) -> None:
    """Write the files of an older version into a new folder, and show what applying them would do.

    Your own files are not touched: git holds them. Put the written files in their place to go back, and apply. Your own
    transforms are copied as they are now; no version holds code.
    """
    import shutil

    from sync_pipelines.cli.plan import show as show_plan
    from sync_pipelines.config.loading import OWN_TRANSFORMS
    from sync_pipelines.configuration_files import write_files
    from sync_pipelines.plans.making import make_plan
    from sync_pipelines.project import opened
    from sync_pipelines.settings import read_settings

    folder = to or Path(f"syncs-version-{version}")
    with opened(with_store=True) as project:
        write_files(project.store.configurations.get(version).documents, folder)
        own = project.settings.syncs_dir / OWN_TRANSFORMS
    with opened(read_settings().model_copy(update={"syncs_dir": folder}), with_store=True) as older:
        made = make_plan(older, actor=whoami())
    # Not before: one process must not find a transform in two files.
    if own.is_dir():
        shutil.copytree(own, folder / OWN_TRANSFORMS, ignore=shutil.ignore_patterns("__pycache__"))
    if as_json:
        print(made.json().decode())
        return
    show_plan(made)
    say(
        f"The files of version {version} are in {folder}/. To go back, put them into your own folder in git (their "
        "comments are not kept) and run `sync-pipelines apply`."
    )


def _short(version: "AppliedVersion") -> str:
    first = "; ".join(version.summary[:3])
    return f"{first} and {len(version.summary) - 3} more" if len(version.summary) > 3 else first


def _json(version: "AppliedVersion") -> dict[str, object]:
    return {
        "version": version.version,
        "applied_at": version.applied_at.isoformat(),
        "actor": version.actor,
        "digest": version.digest,
        "summary": list(version.summary),
    }
