"""What a sync would make of a few records of a connected account, before it does."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sync_pipelines.cli.mapping import rules_of_texts
from sync_pipelines.cli.printing import say, shown, table

if TYPE_CHECKING:
    from sync_pipelines.engine.preview import PreviewField, PreviewRecord
    from sync_pipelines.previewing import Preview

LONGEST_VALUE: Final = 60


def register(app: typer.Typer) -> None:
    app.command("preview")(preview)


def preview(
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    name: Annotated[str, typer.Argument(metavar="SYNC|PROVIDER", help="The sync, or the provider if one sync has it")],
    object_name: Annotated[str, typer.Argument(metavar="OBJECT", help="The object as the sync names it")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many records, of one page.")] = 3,
    record: Annotated[str | None, typer.Option("--record", help="Just the record with this id.")] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=RULE", help="Try a rule that is not saved; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: empty fields too, and whole values.")] = False,
) -> None:
    """Read a few records of the customer's account and show what mapping and transforms make of each field.

    Nothing is written. The calls count on the account's API budget. With --set a changed mapping is tried before it is
    saved, and what it would change is shown beside the present values.
    """
    from sync_pipelines.previewing import find_sync
    from sync_pipelines.previewing import preview as read
    from sync_pipelines.project import opened

    changes = rules_of_texts(rules or ())
    with opened(with_store=True) as project:
        sync = find_sync(project, customer, name, object_name)
        found = read(
            project, sync, object_name, customer, limit=limit, record=record, changes=changes if rules else None
        )
    if as_json:
        print(_json(found))
        return
    _show(found)


def _json(found: "Preview") -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.Encoder(decimal_format="number").encode(found)).decode()


def _show(found: "Preview") -> None:
    if not found.records:
        say("There is no such record in this account.")
    for at, each in enumerate(found.records):
        saved = found.saved[at] if found.saved is not None else None
        _show_record(found, each, saved)
    for name in found.missing:
        say(f"The mapped field {name} is not in this account or not readable.", style="yellow")
    for notice in found.notices:
        say(notice, style="yellow")
    judged = [each.verdict.kept for each in found.records if each.verdict is not None]
    chosen = f"{sum(judged)} of them chosen by the filter, " if judged else ""
    lines = (line for each in found.records for field in each.fields for line in _lines(field, None))
    misfits = sum(line.problem is not None for line in lines)
    say(
        f"{len(found.records)} record(s) for {found.table}, {chosen}{misfits} value(s) that do not fit, "
        f"{found.calls} call(s) of the account's budget. Nothing was written."
    )


def _show_record(found: "Preview", record: "PreviewRecord", saved: "PreviewRecord | None") -> None:
    if record.problem:
        say(f"{found.customer_id}, {found.object} {record.id or '(no id)'}: {record.problem}", style="red")
    if record.verdict is not None and not record.verdict.kept:
        left = "; ".join(record.verdict.unmet)
        say(f"{found.customer_id}, {found.object} {record.id} is left out: it does not meet {left}", style="yellow")
    now = {line.column: line.after for field in saved.fields for line in _split(field)} if saved is not None else None
    fields = [field for each in record.fields for field in _lines(each, now)]
    if not fields:
        return
    columns = ("field", "vendor field", "before", *(("now",) if now is not None else ()), "after", "problem")
    table(
        f"{found.customer_id}, {found.object} {record.id}",
        columns,
        (
            (
                field.column,
                ", ".join(field.sources) + "".join(f" | {step}" for step in field.transforms),
                _before(field),
                *((_short(now.get(field.column)),) if now is not None else ()),
                _short(field.after),
                field.problem or ("changes" if now is not None and now.get(field.column) != field.after else ""),
            )
            for field in fields
        ),
    )


def _split(field: "PreviewField") -> "list[PreviewField]":
    """A field, or the additional ones each by its own name."""
    from dataclasses import replace

    return [replace(part, column=f"{field.column}.{part.column}") for part in field.parts] or [field]


def _lines(field: "PreviewField", now: dict[str, Any] | None) -> "list[PreviewField]":
    lines = [line for line in _split(field) if _is_worth_a_line(line, now)]
    # What is wrong with all of them together.
    return [field] if field.problem and not any(line.problem for line in lines) else lines


def _is_worth_a_line(field: "PreviewField", now: dict[str, Any] | None) -> bool:
    empty = field.after in (None, [], {}) and all(value in (None, "") for value in field.before.values())
    return not empty or field.problem is not None or (now is not None and now.get(field.column) != field.after)


def _before(field: "PreviewField") -> str:
    if len(field.before) == 1:
        return _short(next(iter(field.before.values())))
    return _short({name: value for name, value in field.before.items() if value not in (None, "")} or None)


def _short(value: Any) -> str:
    import msgspec

    if isinstance(value, bool | dict | list):
        text = msgspec.json.encode(value).decode()
    else:
        text = shown(value) if not isinstance(value, int) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
