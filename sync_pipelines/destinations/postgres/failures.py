"""What Postgres reports, as an error of our tree with what to do about it. Decided by SQLSTATE, never by text."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.refusal import refusal_code
from sync_pipelines.model.errors import DestinationBusy, DestinationError, RefusedValue, SyncError
from sync_pipelines.model.secret import MASK

_BUSY = {
    "08": "The connection to {place} broke; the sync is tried again by itself.",
    "40": "Another transaction of {place} was in the way; the sync is tried again by itself.",
    "53": "{place} is short of a resource ({reason}); the sync is tried again by itself.",
    "57": "{place} ended the work ({reason}); the sync is tried again by itself.",
    "58": "{place} has trouble with its disks or operating system ({reason}); the sync is tried again by itself.",
    "XX": "{place} reported an internal error ({reason}); the sync is tried again by itself.",
    "25006": "{place} is read-only at the moment, a standby or one that is switching over; the sync is tried again.",
    "25P03": "{place} ended a connection that was idle inside a transaction; the sync is tried again by itself.",
    "53100": "The disk of {place} is full: make room there. The sync is tried again by itself.",
    "53300": "{place} has no connection left: raise max_connections (or the role's or database's limit) there, or run "
    "fewer syncs side by side. The sync is tried again by itself.",
    "55P03": "A lock in {place} was not free in time; the sync is tried again by itself.",
    "57P03": "{place} is starting up or shutting down; the sync is tried again by itself.",
    "42P01": "A table of {place} vanished during the sync ({reason}); it is made again at the next try.",
    "42703": "A column of a table in {place} vanished during the sync ({reason}); the sync is tried again by itself.",
    "42804": "A column of a table in {place} was changed during the sync ({reason}); it is tried again by itself.",
    "42883": "A column of a table in {place} was changed during the sync ({reason}); it is tried again by itself.",
    "23505": "Somebody else wrote the same rows to {place} at the same time ({reason}); the sync is tried again.",
}
_FINAL = {
    "22": "A value cannot be stored in {place}: {reason}.",
    "23": "{place} refused a row: {reason}. Remove the constraint that was added to the table, or change the mapping.",
    "28": "{place} does not let user {user} in: {reason}. Correct the user, or the server's pg_hba.conf.",
    "28P01": "The password of user {user} for {place} is wrong: correct it in the destination's configuration.",
    "3D000": "The database of {place} does not exist: create it, or correct the destination's configuration.",
    "3F000": "The schema {schema} of {place} does not exist: create it, or let user {user} create it.",
    "42501": "User {user} lacks a right in {place}: {reason}. Grant it (CREATE on the schema, or ownership of the "
    "tables).",
    "2BP01": "A table or view of {place} cannot be changed because others depend on it: {reason}.",
    "42701": "Two columns of a table in {place} have one name: {reason}. Rename the field in the custom schema.",
    "54011": "A table in {place} would have too many columns: {reason}. List fewer fields in the custom schema.",
}
_OTHER = "{place} refused a statement: {reason}."
_UNREACHABLE = (
    "{place} cannot be reached: check that it runs, and host, port, firewall and TLS parameters in the destination's "
    "configuration. The sync is tried again by itself."
)
_BROKEN = "The connection to {place} broke; the sync is tried again by itself."


@contextmanager
def told_as_ours(place: Place) -> Iterator[None]:
    """Errors of psycopg leave as DestinationBusy or DestinationError."""
    try:
        yield
    except psycopg.Error as problem:
        raise failure(problem, place) from problem
    except UnicodeEncodeError as problem:
        raise RefusedValue(
            f"A value cannot be stored in {place}: {problem.object[problem.start]!r} in it is not a character."
        ) from problem


def connect_failure(problem: psycopg.Error, place: Place) -> SyncError:
    """For an error while connecting: those carry no SQLSTATE, so the server is asked once more for it."""
    if isinstance(problem, psycopg.ProgrammingError):
        return DestinationError(
            f"The connection_parameters of {place} are not what libpq knows: {_scrubbed(problem, place)}."
        )
    silent = isinstance(problem, psycopg.errors.ConnectionTimeout)
    code = problem.sqlstate or (None if silent else refusal_code(place))
    if code is None:
        return DestinationBusy(_sentence(_UNREACHABLE, problem, place), detail=_scrubbed(problem, place))
    return _of_code(code, problem, place)


def failure(problem: psycopg.Error, place: Place) -> SyncError:
    """For an error on an open connection."""
    if problem.sqlstate is None:
        lost = isinstance(problem, psycopg.OperationalError | psycopg.InterfaceError)
        kind, text = (DestinationBusy, _BROKEN) if lost else (DestinationError, _OTHER)
        return kind(_sentence(text, problem, place), detail=_scrubbed(problem, place))
    return _of_code(problem.sqlstate, problem, place)


def _of_code(code: str, problem: psycopg.Error, place: Place) -> SyncError:
    detail = f"SQLSTATE {code}: {_scrubbed(problem, place)}"
    for kind, texts in ((DestinationBusy, _BUSY), (DestinationError, _FINAL)):
        if text := texts.get(code):
            return kind(_sentence(text, problem, place), detail=detail)
    if text := _BUSY.get(code[:2]):
        return DestinationBusy(_sentence(text, problem, place), detail=detail)
    kind = RefusedValue if code.startswith("22") else DestinationError
    return kind(_sentence(_FINAL.get(code[:2], _OTHER), problem, place), detail=detail)


def _sentence(text: str, problem: psycopg.Error, place: Place) -> str:
    reason = problem.diag.message_primary or _scrubbed(problem, place)
    told = text.format(place=place, user=place.server.user, schema=place.schema, reason=reason.strip().rstrip("."))
    return told[0].upper() + told[1:]


def _scrubbed(problem: psycopg.Error, place: Place) -> str:
    text = str(problem).strip()
    password = place.server.password.reveal()
    return text.replace(password, MASK) if password else text
