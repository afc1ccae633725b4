"""Reads the part of SOQL that a connector needs, after the SOQL and SOSL Reference, and refuses the rest."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<datetime>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))(?![\w'])
  | (?P<date>\d{4}-\d{2}-\d{2})(?![\w'])
  | (?P<number>[+-]?\d+(?:\.\d+)?)(?![\w'])
  | (?P<text>'(?:[^'\\]|\\['"\\nrtbf_%])*')
  | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
  | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_COMPARE = {"=", "!=", "<>", "<", "<=", ">", ">="}
_DATETIMES = {"SystemModstamp", "LastModifiedDate", "CreatedDate"}


class SoqlError(ValueError):
    """The text is not SOQL as the reference describes it."""


@dataclass(frozen=True)
class Soql:
    fields: tuple
    object: str
    where: bool
    order_by: tuple
    limit: int | None


def parse(text):
    """The query's parts; SoqlError when it breaks the grammar."""
    return _Parser(text).query()


def soql_mistakes(golden, sent):
    """How a sent query differs from the golden one in what they ask for: fields, object, counting or not.

    Filters and order are the client's own business as long as they are SOQL.
    """
    try:
        asked = parse(sent)
    except SoqlError as problem:
        return [f"not SOQL: {problem}: {sent!r}"]
    wanted = parse(golden)
    mistakes = []
    if asked.object != wanted.object:
        mistakes.append(f"FROM {asked.object}, golden {wanted.object}")
    if set(asked.fields) != set(wanted.fields):
        mistakes.append(f"SELECT {sorted(asked.fields)}, golden {sorted(wanted.fields)}")
    return mistakes


class _Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0
        self.tokens = []
        end = len(text.rstrip())
        while self.at < end:
            found = _TOKEN.match(text, self.at)
            if not found:
                raise SoqlError(f"unexpected token at {self.at}: {text[self.at : self.at + 20]!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            self.at = found.end()
        self.tokens.append(("end", "<EOF>"))
        self.place = 0

    def query(self):
        self._word("SELECT")
        fields = self._fields()
        self._word("FROM")
        name = self._take("name")
        where = self._optional("WHERE")
        if where:
            self._either()
        order = ()
        if self._optional("ORDER"):
            if fields == ("COUNT()",):
                raise SoqlError("COUNT() takes no ORDER BY")
            self._word("BY")
            order = self._order()
        limit = int(self._take("number")) if self._optional("LIMIT") else None
        if self.tokens[self.place][0] != "end":
            raise SoqlError(f"unexpected token: {self.tokens[self.place][1]!r}")
        return Soql(fields, name, where, order, limit)

    def _fields(self):
        fields = [self._take("name")]
        if fields[0].upper() == "COUNT" and self._sign("("):
            self._sign(")", must=True)
            return ("COUNT()",)
        while self._sign(","):
            fields.append(self._take("name"))
        if len({field.lower() for field in fields}) != len(fields):
            raise SoqlError("a field is selected twice")
        return tuple(fields)

    def _order(self):
        items = []
        while True:
            items.append(self._take("name"))
            self._optional("ASC") or self._optional("DESC")
            if self._optional("NULLS"):
                self._optional("FIRST") or self._word("LAST")
            if not self._sign(","):
                return tuple(items)

    def _either(self):
        """SOQL asks for parentheses where AND and OR meet on one level."""
        self._condition()
        joined = None
        while word := (self._optional("AND") or self._optional("OR")):
            if joined not in (None, word):
                raise SoqlError("AND and OR mixed without parentheses")
            joined = word
            self._condition()

    def _condition(self):
        if self._optional("NOT"):
            return self._condition()
        if self._sign("("):
            self._either()
            return self._sign(")", must=True)
        field = self._take("name")
        if self._optional("LIKE"):
            return self._take("text")
        if self._optional("NOT") and self.tokens[self.place][1].upper() != "IN":
            raise SoqlError("NOT stands before a field, or before IN")
        if self._optional("IN"):
            self._sign("(", must=True)
            self._literal(field)
            while self._sign(","):
                self._literal(field)
            return self._sign(")", must=True)
        kind, sign = self.tokens[self.place]
        if kind != "sign" or sign not in _COMPARE:
            raise SoqlError(f"{field} is compared by {sign!r}")
        self.place += 1
        return self._literal(field)

    def _literal(self, field):
        kind, value = self.tokens[self.place]
        self.place += 1
        if kind == "name" and value.lower() not in ("true", "false", "null"):
            raise SoqlError(f"{value!r} is not a literal")
        if kind in ("sign", "end"):
            raise SoqlError(f"unexpected token: {value!r}")
        if field.split(".")[-1] in _DATETIMES and kind != "datetime":
            raise SoqlError(f"{field} is compared with {value!r}; a dateTime literal stands without quotes")
        if (field == "Id" or field.endswith("Id")) and kind not in ("text", "name"):
            raise SoqlError(f"{field} is compared with {value!r}; an id stands in single quotes")

    def _take(self, kind):
        found, value = self.tokens[self.place]
        if found != kind:
            raise SoqlError(f"expected a {kind}, found {value!r}")
        self.place += 1
        return value

    def _word(self, word):
        if not self._optional(word):
            raise SoqlError(f"expected {word}, found {self.tokens[self.place][1]!r}")

    def _optional(self, word):
        kind, value = self.tokens[self.place]
        if kind == "name" and value.upper() == word:
            self.place += 1
            return word
        return None

    def _sign(self, sign, *, must=False):
        if self.tokens[self.place] == ("sign", sign):
            self.place += 1
            return True
        if must:
            raise SoqlError(f"expected {sign}, found {self.tokens[self.place][1]!r}")
        return False
