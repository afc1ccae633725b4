"""Why a value is there."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sync_pipelines.cli.printing import say, shown, table

if TYPE_CHECKING:
    from sync_pipelines.engine.tracing import TracedStep, TracedValue
    from sync_pipelines.explain.explanation import ExplainedRule, Explanation, WrittenBy

LONGEST_VALUE: Final = 200
HIDDEN: Final = "(personal, not shown)"


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    sync: Annotated[str, typer.Argument(help="The sync")],
    object_name: Annotated[str, typer.Argument(metavar="OBJECT", help="The object as the sync names it")],
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    record: Annotated[str, typer.Argument(help="The record's id, as in the column id")],
    column: Annotated[
        str | None, typer.Argument(help="The column, or the field of the custom schema; left out: the row")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the vendor what it says now, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Why a cell holds what it holds: run, vendor's value, mapping and transforms; or why there is no row.

    The vendor is asked only with --live, where the row keeps no record, and where there is no row. Nothing is written.
    """
    from sync_pipelines.explain import explain as find
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = find(project, sync, object_name, customer, record, column, live=live)
    if as_json:
        print(_json(found))
        return
    _show(found)


def _json(found: "Explanation") -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.Encoder(decimal_format="number").encode(found)).decode()


def _show(found: "Explanation") -> None:
    what = f"{found.table}.{found.column}" if found.column is not None else found.table
    table(
        f"{what} of {found.customer_id}, {found.object} {found.id}",
        ("", ""),
        [(name, told) for name, told in _lines(found) if told],
    )
    if found.rules:
        table("How the value is made", ("step", "gives", ""), _steps(found))
    if found.agreement is not None:
        told = {
            "same": "The rules of now give exactly what is stored.",
            "differs": "The rules of now give something else than what is stored.",
            "unknown": "Whether the rules of now give what is stored cannot be told.",
        }[found.agreement.result]
        style = "green" if found.agreement.result == "same" else "yellow"
        say(f"{told} {found.agreement.message}".rstrip(), style=style)
    for notice in found.notices:
        say(notice, style="yellow")


def _lines(found: "Explanation") -> list[tuple[str, str]]:
    lines = [("row", f"{found.row.state}: {found.row.message}")]
    if found.written is not None:
        lines.append(("written", _written(found.written)))
    if found.mapping is not None and (found.mapping.version or found.rules):
        lines.append(("mapping", _mapping(found)))
    if found.column is not None and found.row.state in ("live", "deleted"):
        whole = "the record as the vendor gave it" if found.column == "raw_data" else _short(found.stored)
        lines.append(("stored", f"{whole}  ({found.type})"))
    if found.misfit is not None:
        value = HIDDEN if found.misfit.value is None else _short(found.misfit.value)
        lines.append(("did not fit", f"{value}, of {found.misfit.field}: {found.misfit.reason}"))
    if found.live is not None:
        lines.append(("vendor now", _live(found)))
    return lines


def _written(written: "WrittenBy") -> str:
    text = f"{shown(written.at)} UTC by run {written.run_id}"
    if not written.known:
        return f"{text}, which the store no longer remembers"
    how = "full" if written.full else "incremental"
    return f"{text} ({how}, {written.status}, ended {shown(written.finished_at)})"


def _mapping(found: "Explanation") -> str:
    assert found.mapping is not None
    now = found.mapping
    text = (
        f"version {now.version}, saved by {now.actor} at {shown(now.saved_at)}" if now.version else "none of their own"
    )
    then = found.written_with
    if then is not None and then.version != now.version:
        text += f"; the row was written under version {then.version}" if then.version else "; not yet when written"
    return text


def _live(found: "Explanation") -> str:
    assert found.live is not None
    if not found.live.there:
        return f"shows no such record (asked {shown(found.live.asked_at)})"
    values = ", ".join(_source(value) for value in found.live.values)
    made = found.live.problem or _short(found.live.made)
    return f"{values}; a sync would store: {made} (asked {shown(found.live.asked_at)})"


def _steps(found: "Explanation") -> list[tuple[str, str, str]]:
    where = {"stored record": "in the stored record", "vendor": "at the vendor, read now"}.get(found.source or "", "")
    lines: list[tuple[str, str, str]] = []
    for each in found.rules:
        lines.append((f"{each.rule.name}: {_whose(each)}", "", ""))
        lines += [(f"  field {value.field}", _value(value), where) for value in each.rule.sources]
        lines += [(f"  {_transform(step)}", _result(step), step.problem or "") for step in each.rule.steps]
    if found.column != "raw_data":
        lines.append((f"as {found.type}", "" if found.problem else _short(found.made), found.problem or ""))
    return lines


def _whose(each: "ExplainedRule") -> str:
    return {
        "customer": "the customer's rule",
        "developer": "the developer's default rule",
        "locked": "the developer's rule, which customers cannot change",
        "same name": "the account's field of this name; nobody mapped it",
        "common model": "the common model",
        "record": "the record itself",
        "nobody": "nobody fills it",
    }[each.by]


def _transform(step: "TracedStep") -> str:
    options = ", ".join(f"{name}={_short(value)}" for name, value in step.options.items())
    return f"{step.transform}({options})" if options else step.transform


def _result(step: "TracedStep") -> str:
    if step.problem is not None:
        return ""
    return HIDDEN if step.hidden else _short(step.value)


def _source(value: "TracedValue") -> str:
    return f"{value.field} = {_value(value)}"


def _value(value: "TracedValue") -> str:
    if not value.present:
        return "(the record has no such field)"
    return HIDDEN if value.hidden else _short(value.value)


def _short(value: Any) -> str:
    import msgspec

    if value is None:
        return "null"
    if isinstance(value, bool | dict | list | int):
        text = msgspec.json.Encoder(decimal_format="number").encode(value).decode()
    else:
        text = shown(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
