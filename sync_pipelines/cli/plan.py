"""What applying the configuration would do, and doing it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sync_pipelines.cli.printing import say, shown, table
from sync_pipelines.cli.steer import whoami

if TYPE_CHECKING:
    from sync_pipelines.plans.plan import Plan

MOST_LINES: Final = 30
"""Of one table; a longer one is cut, and --json has all of it."""

Syncs = Annotated[list[str] | None, typer.Option("--sync", help="Only this sync; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="The whole plan as JSON, with every customer and statement.")]


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("apply")(apply)


def plan(
    syncs: Syncs = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the plan to a file, for `apply`.")] = None,
    as_json: Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 2 if there are changes, 1 on an error, 0 if nothing changes.")
    ] = False,
) -> None:
    """What applying the configuration as it is written now would do: tables, columns, reads, schedules, rows.

    Looks at the files, the version in effect, the store and the destinations. Changes nothing and calls no vendor.
    """
    from sync_pipelines.model.errors import SyncError
    from sync_pipelines.plans.making import make_plan
    from sync_pipelines.project import opened

    try:
        with opened(with_store=True) as project:
            made = make_plan(project, syncs or (), actor=whoami())
    except SyncError as problem:
        if not exit_code:
            raise
        say(str(problem), style="red")
        raise typer.Exit(1) from problem
    if out is not None:
        out.write_bytes(made.json())
    if as_json:
        print(made.json().decode())
    else:
        show(made)
        if out is not None and made.changes:
            say(f"Written to {out}: `sync-pipelines apply {out}` does exactly this, or refuses.")
    if exit_code and made.changes:
        raise typer.Exit(2)


def apply(
    file: Annotated[
        Path | None, typer.Argument(metavar="[PLANFILE]", help="A plan by `plan --out`; left out: one made now.")
    ] = None,
    syncs: Syncs = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Do exactly what a plan says: make tables and columns, record the configuration's new version, make work due.

    A plan made now is shown and asked about, one from a file is not asked about again. If anything that the plan rests
    on has moved since, nothing is done and what moved is told (exit code 2).
    """
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.plans.applying import apply_plan
    from sync_pipelines.plans.making import make_plan
    from sync_pipelines.project import opened

    if file is not None and syncs:
        raise ConfigurationError("A plan file says itself which syncs it is about: leave --sync out.")
    with opened(with_store=True) as project:
        chosen = _read(file) if file is not None else make_plan(project, syncs or (), actor=whoami())
        show(chosen)
        if not chosen.changes:
            return
        # A plan in a file was looked at when it was made.
        if file is None and not yes and not _agreed():
            say("Nothing was done.")
            raise typer.Exit(1)
        done = apply_plan(project, chosen, actor=whoami())
    say(f"Version {done.version} is in effect. {done.tables} table(s) made or altered.")
    for (sync, name), customers in done.asked.items():
        say(f"{sync} {name} is due for {customers:,} customer(s).")


def _read(file: Path) -> "Plan":
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.plans.plan import plan_from

    try:
        return plan_from(file.read_bytes())
    except OSError as problem:
        raise ConfigurationError(f"The plan {file} cannot be read: {problem.strerror}.") from problem


def _agreed() -> bool:
    from sync_pipelines.model.errors import ConfigurationError

    if not sys.stdin.isatty():
        raise ConfigurationError("Nobody can be asked here: say --yes, or apply a plan that `plan --out` wrote.")
    return typer.confirm("Do exactly this?")


def show(made: "Plan") -> None:
    """The summary first, then what there is of each kind."""
    from sync_pipelines.plans.sentences import changes, removals

    about = f" of {', '.join(made.only)}" if made.only else ""
    say(f"Plan{about}, made on version {made.basis.in_effect or 'none'}; digest {made.digest[:12]}", style="bold")
    if not made.changes:
        say("Nothing changes: the configuration is in effect as it is written.")
    for sentence in (found := changes(made))[:MOST_LINES]:
        say(f"  {sentence}.")
    _cut(len(found))
    for sentence in (found := removals(made))[:MOST_LINES]:
        say(f"Rows go: {sentence}.", style="red")
    _cut(len(found))
    _show_settings(made)
    _show_stays(made)
    for notice in made.notices[:MOST_LINES]:
        say(f"Note: {notice}", style="yellow")
    _cut(len(made.notices))
    for problem in made.problems:
        say(f"In the way: {problem}", style="red")


def _cut(lines: int) -> None:
    if lines > MOST_LINES:
        say(f"  ... and {lines - MOST_LINES:,} more; --json has all.")


def _show_settings(made: "Plan") -> None:
    rows = [
        (f"{change.kind} {change.name}", each.path, _value(each.old), _value(each.new))
        for change in made.documents
        for each in change.fields
    ]
    if rows:
        table("Settings", ("document", "setting", "now", "then"), rows[:MOST_LINES])
        _cut(len(rows))


def _show_stays(made: "Plan") -> None:
    if made.stays:
        table(
            "Stays as it is",
            ("what", "table", "columns", "customers", "rows"),
            [
                (each.what, each.table, ", ".join(each.columns), each.customers, each.rows)
                for each in made.stays[:MOST_LINES]
            ],
            right=("customers", "rows"),
        )
        _cut(len(made.stays))


def _value(value: Any) -> str:
    import json

    text = shown(value) if value is None or isinstance(value, str) else json.dumps(value)
    return "(default)" if value is None else text if len(text) <= 80 else f"{text[:79]}…"
