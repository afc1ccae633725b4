"""SOQL: literals, keys and the queries of one read."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from sync_pipelines.model.filter import fields_of
from sync_pipelines.model.flow import PageToken
from sync_pipelines.model.provider import ReadPlan, VendorField

CURSORS: Final = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Best first: the last two are for the few objects that lack the one before."""
LONGEST_QUERY: Final = 15_000
"""Characters of an encoded query in a URL; the vendor refuses URLs of about 16 KB."""
LONGEST_PART: Final = 7_000
_CHECKSUM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
SHORT_ID: Final = 15


def text(value: str) -> str:
    """A quoted SOQL text."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    for character, name in (("\n", "n"), ("\r", "r"), ("\t", "t"), ("\b", "b"), ("\f", "f")):
        escaped = escaped.replace(character, f"\\{name}")
    return f"'{escaped}'"


def moment(value: datetime) -> str:
    """An unquoted SOQL datetime, cut to the milliseconds that the vendor keeps."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def long_id(value: Any) -> Any:
    """The 18-character form of a 15-character id (three checksum letters over the capitals); others as they are."""
    if not isinstance(value, str) or len(value) != SHORT_ID:
        return value
    groups = (value[at : at + 5] for at in range(0, SHORT_ID, 5))
    return value + "".join(
        _CHECKSUM[sum(1 << bit for bit, letter in enumerate(group) if "A" <= letter <= "Z")] for group in groups
    )


def sayable(name: str) -> bool:
    """Whether a field's name can stand in a SELECT, where names cannot be quoted."""
    return re.fullmatch(r"\w+", name) is not None


@dataclass(frozen=True, kw_only=True)
class Query:
    """What one read wants, in the order of describe, `Id` first. `cursor` None: this object cannot tell changes.

    `where`: a condition beside the others, as SOQL; `filtered`: the fields that it names.
    """

    object: str
    fields: tuple[VendorField, ...]
    cursor: str | None
    since: datetime | None
    until: datetime | None
    limit: int | None
    where: str = ""
    filtered: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: ReadPlan, where: str = "") -> "Query":
        sayable_fields = tuple(known for known in plan.fields if sayable(known.name))
        names = {known.name for known in sayable_fields}
        cursor = next((name for name in CURSORS if name in names), None)
        wanted = tuple(known for known in sayable_fields if known.name != "Id")
        return cls(
            object=plan.object.name,
            fields=(VendorField(name="Id", vendor_type="id"), *wanted),
            cursor=cursor if plan.since is not None else None,
            since=plan.since if cursor else None,
            until=plan.until if cursor else None,
            limit=plan.limit,
            where=where,
            filtered=frozenset(fields_of(plan.where)) if plan.where is not None else frozenset(),
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(known.name for known in self.fields)

    @property
    def key(self) -> tuple[str, ...]:
        """What the read is ordered by; the last record's values are where to go on."""
        return (self.cursor, "Id") if self.cursor else ("Id",)

    def without(self, names: frozenset[str]) -> "Query":
        cursor = self.cursor if self.cursor not in names else None
        kept = tuple(known for known in self.fields if known.name not in names)
        return replace(self, fields=kept, cursor=cursor, since=self.since if cursor else None)

    def statement(
        self, names: tuple[str, ...] | None = None, *, after: PageToken | None = None, ordered: bool = True
    ) -> str:
        """The SELECT from the key `after` on. A Bulk job's result stands still, so it needs no order."""
        clauses = [f"SELECT {', '.join(names or self.names)}", f"FROM {self.object}"]
        conditions = [*self._window(), *([self.where] if self.where else []), *self._after(after)]
        if conditions:
            clauses.append(f"WHERE {' AND '.join(conditions)}")
        if ordered:
            clauses.append(f"ORDER BY {', '.join(self.key)}")
        if self.limit:
            clauses.append(f"LIMIT {self.limit}")
        return " ".join(clauses)

    def _window(self) -> list[str]:
        window = []
        if self.cursor and self.since:
            window.append(f"{self.cursor} >= {moment(self.since)}")
        if self.cursor and self.until:
            window.append(f"{self.cursor} < {moment(self.until)}")
        return window

    def _after(self, after: PageToken | None) -> list[str]:
        """Nothing, so from the start, for a key of another order (the cursor field itself has vanished)."""
        if not after:
            return []
        if self.cursor is None:
            return [f"Id > {text(after['after_id'])}"] if "after_id" in after else []
        if "modified" not in after:
            return []
        at = moment(datetime.fromisoformat(after["modified"]))
        return [f"(({self.cursor} = {at} AND Id > {text(after['id'])}) OR {self.cursor} > {at})"]

    def token(self, last: dict[str, Any]) -> PageToken:
        """Where to go on after this record."""
        if self.cursor is None:
            return {"after_id": long_id(last["Id"])}
        return {"modified": last[self.cursor], "id": long_id(last["Id"])}

    def parts(self) -> list[tuple[str, ...]]:
        """The SELECT list in parts that fit a URL each; the first one holds the key."""
        if len(quote(self.statement(), safe="")) <= LONGEST_QUERY:
            return [self.names]
        parts: list[list[str]] = [list(reversed(self.key))]
        length = 0
        for name in self.names:
            if name in self.key:
                continue
            length += len(name) + len("%2C%20")
            if length > LONGEST_PART:
                parts.append(["Id"])
                length = len(name)
            parts[-1].append(name)
        return [tuple(part) for part in parts]


def by_ids(query: Query, names: tuple[str, ...], ids: list[str]) -> str:
    """The SELECT of further fields for records that are known."""
    wanted = ", ".join(text(one) for one in ids)
    return " ".join((f"SELECT {', '.join(names)}", f"FROM {query.object}", f"WHERE Id IN ({wanted})"))
