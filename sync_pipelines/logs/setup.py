"""Logging set up for a process: where lines go, how they look, and that no handler of anybody gets a secret.

Records are cleaned where they are made, so that handlers of other libraries (Dagster's, Celery's) get clean ones too,
of whatever logger: httpx tells URLs, database drivers tell DSNs.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, TextIO

from sync_pipelines.logs.fields import fields_now
from sync_pipelines.logs.formats import JsonLine, TextLine
from sync_pipelines.logs.redaction import masked
from sync_pipelines.model.secret import Secret
from sync_pipelines.settings import LogSettings

OURS: Final = "sync_pipelines"
QUIET: Final = ("httpcore", "httpx", "sqlalchemy", "alembic", "asyncio", "hpack")
"""They say more than anybody wants to read, down to every call."""

_kept: Final[set[Secret]] = set()
"""The secrets of the settings, which are known as long as the process lives."""


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(settings: LogSettings, *, level: str | None = None, logger: str | None = "") -> None:
    """May be called again. `level`: another one than the settings'.

    `logger`: whose lines we write: "" for all of the process, OURS where others write theirs, None for nobody's, so
    that records are only cleaned.
    """
    level = level or settings.log_level
    if logging.getLogRecordFactory() is not _record:
        logging.setLogRecordFactory(_record)
    sys.excepthook = _told_without_secrets
    threading.excepthook = _told_of_thread
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if logger is None:
        return
    writing = logging.getLogger(logger)
    for before in [each for each in writing.handlers if isinstance(each, StandardError)]:
        writing.removeHandler(before)
    handler = StandardError()
    handler.setFormatter(JsonLine() if settings.log_format == "json" else TextLine())
    writing.addHandler(handler)
    logging.getLogger(OURS).setLevel(level)
    if not logger:
        logging.getLogger().setLevel(max(logging.getLevelNamesMapping()[level], logging.INFO))


def configure_server(settings: LogSettings) -> None:
    """For a process that stays: it tells what it does, too. More that was asked for before stays."""
    debug = logging.getLogger(OURS).level == logging.DEBUG
    configure(settings, level="DEBUG" if debug else None)


def know(secrets: Iterable[Secret]) -> None:
    """Keep these out of all that is said, for as long as the process lives."""
    _kept.update(secrets)


def _record(*given: Any, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord(*given, **more)
    record.bound_fields = fields_now()
    _clean(record)
    return record


def _clean(record: logging.LogRecord) -> None:
    """Only a record that holds a secret is changed: others may want its arguments as they are."""
    if isinstance(record.msg, dict):
        # How structlog hands over what it has gathered.
        record.msg = {name: masked(each) if isinstance(each, str) else each for name, each in record.msg.items()}
        return
    try:
        told = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # wrong arguments; the handler tells of it
    if (clean := masked(told)) != told:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (clean := masked(trace)) != trace:
            # Formatters take this text, and with it gone nobody can format the exception itself.
            record.exc_text, record.exc_info = clean, None


def _told_without_secrets(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, problem, trace))))


def _told_of_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is SystemExit or given.exc_value is None:
        return
    name = given.thread.name if given.thread is not None else "?"
    sys.stderr.write(f"In the thread {name}:\n")
    _told_without_secrets(given.exc_type, given.exc_value, given.exc_traceback)
