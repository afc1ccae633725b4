"""Names and addresses as people write them, in documents of every kind."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from sync_pipelines.config.document import refusing


def _name(written: str) -> str:
    if not 1 <= len(written) <= 100 or not written.isprintable() or "/" in written or written != written.strip():
        raise refusing("must have 1 to 100 printable characters, no / and no blank at either end")
    return written


def _url(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    if written and not re.match(r"^https?://[^/\s?#]+[^\s?#]*$", written):
        raise refusing("must be a URL that begins with https:// (or http:// for a local server), without ? and #")
    return written.rstrip("/") or None


Name = Annotated[str, AfterValidator(_name)]
Url = Annotated[str | None, BeforeValidator(_url)]
