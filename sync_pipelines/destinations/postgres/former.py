"""A column whose type is another one now: which columns of a table move aside (see model.former), and which stay."""

from collections.abc import Mapping

from sync_pipelines.destinations.postgres.layout import SQL_TYPES, Layout
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.former import ROW_COLUMNS, TAKEN_IN, former_name


def remade(layout: Layout, existing: Mapping[str, int]) -> dict[str, int]:
    """Columns that stand in the place of others, with their numbers; see model.destination.Landing.

    `existing`: the numbers of the table's columns by their names.
    """
    known = [column.name for column in layout.table.columns]
    return {name: existing[name] for name in known if any(former_name(name, kind) in existing for kind in SQL_TYPES)}


def stays(layout: Layout, there: str, wanted: str) -> bool:
    """Whether a column of the type `there` can be written as one of the type `wanted`, be it widened."""
    widened = (there, wanted) in TAKEN_IN and not layout.has_view
    return there == wanted or (wanted, there) in TAKEN_IN or widened


def renames(layout: Layout, existing: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, new name) for the columns to move so that every column of the layout can have its type.

    `existing`: types by name, as format_type() spells them. DestinationError where a column cannot be moved.
    """
    found: list[tuple[str, str]] = []
    for column in layout.columns:
        there, wanted = existing.get(column.name), SQL_TYPES[column.type]
        if there is None or stays(layout, there, wanted):
            continue
        found.append((column.name, _aside(layout, column.name, there, wanted, existing)))
        back = former_name(column.name, column.type)
        if existing.get(back) == wanted:
            found.append((back, column.name))
    return found


def _aside(layout: Layout, column: str, there: str, wanted: str, existing: Mapping[str, str]) -> str:
    ours = {name: kind for kind, name in SQL_TYPES.items()}
    movable = column in {each.name for each in layout.table.columns} - ROW_COLUMNS and there in ours
    aside = former_name(column, ours.get(there, ""))
    if not movable or aside in existing or aside in {each.name for each in layout.columns}:
        raise DestinationError(
            f"The column {column} of {layout.schema}.{layout.physical} has the type {there}, but {wanted} is to be "
            "written, and it cannot be moved aside by itself: rename or drop the column in the database and set "
            f"{layout.meta('hash')} of its rows to null (it is then made anew and filled by the next full read)."
        )
    return aside
