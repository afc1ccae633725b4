"""A line of the log, for people and for programs."""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sync_pipelines.logs.fields import FIELDS
from sync_pipelines.logs.redaction import masked


class TextLine(logging.Formatter):
    """`2026-11-26 04:18:25,120 WARNING sync_pipelines.engine: what happened [sync=crm customer_id=acme]`. UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(told_fields)s")

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        record.told_fields = f" [{told}]" if told else ""
        return masked(super().format(record))


class JsonLine(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the fields, and the trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
            **{name: masked(value) for name, value in fields_of(record).items()},
        }
        if record.exc_info or record.exc_text:
            line["trace"] = masked(record.exc_text or self.formatException(record.exc_info))  # type: ignore[arg-type]
        return msgspec.json.encode(line).decode()


def fields_of(record: logging.LogRecord) -> Mapping[str, str]:
    """What was bound when it was said, and what it was given as `extra`."""
    bound: Mapping[str, str] = getattr(record, "bound_fields", {})
    found = {name: getattr(record, name, bound.get(name)) for name in FIELDS}
    return {name: str(value) for name, value in found.items() if value is not None}
