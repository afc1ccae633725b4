"""A reader of SOQL: SELECT, COUNT(), WHERE, ORDER BY, LIMIT, OFFSET. No sub-queries, aggregates, relationships."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sync_pipelines.sandbox.clock import parse


class SoqlError(Exception):
    """`code`: the vendor's errorCode."""

    def __init__(self, message: str, code: str = "MALFORMED_QUERY") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Moment:
    """A datetime literal, epoch ms."""

    ms: int


@dataclass(frozen=True)
class Day:
    """A date literal, 2026-05-01."""

    text: str


Literal: TypeAlias = str | int | float | bool | Moment | Day | None


@dataclass(frozen=True)
class Compare:
    """`operator`: = != < <= > >= LIKE."""

    field: str
    operator: str
    value: Literal


@dataclass(frozen=True)
class Among:
    field: str
    values: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True)
class Both:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Either:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    condition: "Condition"


Condition: TypeAlias = Compare | Among | Both | Either | Not


@dataclass(frozen=True)
class Order:
    field: str
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, kw_only=True)
class Query:
    """`fields` empty and `count` set for SELECT COUNT()."""

    fields: tuple[str, ...]
    object: str
    count: bool = False
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


_SELECT = re.compile(r"\s*SELECT\s+(?P<fields>.*?)\s+FROM\s+(?P<object>\w+)(?P<rest>\s.*|$)", re.I | re.S)
_COUNT = re.compile(r"COUNT\s*\(\s*\)$", re.I)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<day>\d{4}-\d\d-\d\d)(?![\w-])"
    r"|(?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,))",
    re.S,
)
_ESCAPES = {
    "n": "\n",
    "N": "\n",
    "r": "\r",
    "R": "\r",
    "t": "\t",
    "T": "\t",
    "b": "\b",
    "B": "\b",
    "f": "\f",
    "F": "\f",
}
_LATER = ("ORDER", "LIMIT", "OFFSET")


def read(text: str) -> Query:
    """Parse a query. SoqlError where it cannot be understood."""
    found = _SELECT.match(text)
    if found is None:
        raise SoqlError("unexpected token: expecting SELECT fields FROM object")
    names = tuple(name.strip() for name in found["fields"].split(","))
    if any(not name or re.search(r"\s", name) for name in names):
        raise SoqlError(f"unexpected token: '{found['fields'][-20:]}'")
    count = len(names) == 1 and _COUNT.match(names[0]) is not None
    if not count and any("(" in name for name in names):
        raise SoqlError("only COUNT() without a field is understood here: other functions and sub-queries are not")
    return _Reader(found["rest"]).rest_of(() if count else names, found["object"], count)


class _Reader:
    """Goes through the tokens after FROM."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0

    def rest_of(self, fields: tuple[str, ...], object: str, count: bool) -> Query:
        where = self._condition() if self._word("WHERE") else None
        order: list[Order] = []
        if self._word("ORDER"):
            self._expect("BY")
            order.append(self._order())
            while self._sign(","):
                order.append(self._order())
        limit = self._whole("LIMIT")
        offset = self._whole("OFFSET")
        if self._place < len(self._tokens):
            raise SoqlError(f"unexpected token: '{self._tokens[self._place][1]}'")
        return Query(
            fields=fields,
            object=object,
            count=count,
            where=where,
            order=tuple(order),
            limit=limit,
            offset=offset or 0,
        )

    def _condition(self) -> Condition:
        first = self._single()
        word = self._peek_word()
        if word not in ("AND", "OR"):
            return first
        conditions = [first]
        while self._peek_word() in ("AND", "OR"):
            if not self._word(word):
                raise SoqlError(f"unexpected token: '{self._peek_word()}': AND and OR are mixed only with parentheses")
            conditions.append(self._single())
        return Both(tuple(conditions)) if word == "AND" else Either(tuple(conditions))

    def _single(self) -> Condition:
        if self._word("NOT"):
            return Not(self._single())
        if self._sign("("):
            inner = self._condition()
            self._close()
            return inner
        field = self._name()
        if self._word("NOT"):
            self._expect("IN")
            return Among(field, self._list(), True)
        if self._word("IN"):
            return Among(field, self._list(), False)
        if self._word("LIKE"):
            value = self._literal(_pattern)
            if not isinstance(value, str):
                raise SoqlError(f"value of filter criterion for field '{field}' must be of type string")
            return Compare(field, "LIKE", value)
        kind, sign = self._next()
        if kind != "sign" or sign in "(),":
            raise SoqlError(f"unexpected token: '{sign}'")
        return Compare(field, "!=" if sign == "<>" else sign, self._literal())

    def _order(self) -> Order:
        field = self._name()
        descending = self._word("DESC")
        if not descending:
            self._word("ASC")
        nulls_last = descending
        if self._word("NULLS"):
            nulls_last = self._word("LAST")
            if not nulls_last:
                self._expect("FIRST")
        return Order(field, descending, nulls_last)

    def _list(self) -> tuple[Literal, ...]:
        if not self._sign("("):
            raise SoqlError("unexpected token: expecting '(' after IN")
        values = [self._literal()]
        while self._sign(","):
            values.append(self._literal())
        self._close()
        return tuple(values)

    def _literal(self, unquoted: Callable[[str], str] | None = None) -> Literal:
        kind, text = self._next()
        if kind == "text":
            return (unquoted or _unquoted)(text)
        if kind == "moment":
            return Moment(_moment(text))
        if kind == "day":
            return Day(text)
        if kind == "number":
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        word = text.upper()
        if kind == "word" and word in ("TRUE", "FALSE", "NULL"):
            return None if word == "NULL" else word == "TRUE"
        raise SoqlError(f"unexpected token: '{text}'")

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "word" or text.upper() in _LATER:
            raise SoqlError(f"unexpected token: '{text}'")
        return text

    def _whole(self, word: str) -> int | None:
        if not self._word(word):
            return None
        kind, text = self._next()
        if kind != "number" or not text.isdigit():
            raise SoqlError(f"unexpected token: '{text}'")
        return int(text)

    def _next(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise SoqlError("unexpected token: '<EOF>'")
        self._place += 1
        return self._tokens[self._place - 1]

    def _peek_word(self) -> str:
        if self._place < len(self._tokens) and self._tokens[self._place][0] == "word":
            return self._tokens[self._place][1].upper()
        return ""

    def _word(self, word: str) -> bool:
        found = self._peek_word() == word
        self._place += found
        return found

    def _sign(self, sign: str) -> bool:
        found = self._place < len(self._tokens) and self._tokens[self._place] == ("sign", sign)
        self._place += found
        return found

    def _expect(self, word: str) -> None:
        if not self._word(word):
            raise SoqlError(f"unexpected token: expecting '{word}'")

    def _close(self) -> None:
        if not self._sign(")"):
            raise SoqlError("unexpected token: expecting ')'")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise SoqlError(f"unexpected token: '{text[place : place + 20].strip()}'")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return tokens


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1], flags=re.S)


def _pattern(text: str) -> str:
    """Of a LIKE, in which an escaped % or _ keeps its backslash: it stands for itself."""
    return re.sub(
        r"\\(.)",
        lambda found: found[0] if found[1] in "%_" else _ESCAPES.get(found[1], found[1]),
        text[1:-1],
        flags=re.S,
    )


def _moment(text: str) -> int:
    try:
        return parse(text)
    except ValueError:
        raise SoqlError(f"line 1: '{text}' is not a date and time", "INVALID_FIELD") from None
