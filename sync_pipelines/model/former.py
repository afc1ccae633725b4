"""Where a column goes whose type is another one now, in every destination: aside, under a reserved name.

Nothing is cast and nothing is dropped. A type that comes back takes its old column back. So of one column there is at
most one for each type, and two processes that do not agree on a type cannot make more.
"""

import hashlib
from typing import Final

from sync_pipelines.model.naming import LONGEST_NAME

MARK: Final = "__was_"
"""No field becomes a column with two underscores in a row (see model.naming), so such names are free."""

TAKEN_IN: Final = {("bigint", "numeric")}
"""(narrow, wide): every narrow value is a wide one. A narrow column is widened, a wide one is left as it is."""

ROW_COLUMNS: Final = frozenset({"id", "is_deleted", "last_modified_at"})
"""Columns that the keeping of rows itself needs: nobody's schema decides about them."""


def former_name(column: str, kind: str) -> str:
    """Where a column of our type `kind` moves: `revenue__was_text`. Long names are cut and carry a hash."""
    ending = f"{MARK}{kind}"
    if len(f"{column}{ending}".encode()) <= LONGEST_NAME:
        return column + ending
    digest = hashlib.blake2s(column.encode(), digest_size=4).hexdigest()
    beginning = column.encode()[: LONGEST_NAME - len(ending) - len(digest) - 1].decode(errors="ignore")
    return f"{beginning}_{digest}{ending}"
