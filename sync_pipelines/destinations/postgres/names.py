"""Identifiers as Postgres takes them. Every name of a person or vendor passes through here on its way into SQL."""

from psycopg import sql

from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.naming import LONGEST_NAME


def checked(name: str, what: str) -> str:
    """The name if Postgres keeps it whole. DestinationError otherwise: it cuts longer names without a word."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= LONGEST_NAME:
        raise DestinationError(
            f"The {what} name {name[:100]!r} has {size} bytes; Postgres takes 1 to {LONGEST_NAME}. Choose another."
        )
    if "\0" in name or not _encodable(name):
        raise DestinationError(f"The {what} name {name!r} holds a character that Postgres cannot store. Rename it.")
    return name


def identifier(*names: str) -> sql.Identifier:
    """For statements without parameters (DDL, COPY)."""
    return sql.Identifier(*names)


def in_query(*names: str) -> sql.Identifier:
    """For statements with parameters: there psycopg reads a % in a name as the beginning of a placeholder."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
