"""Reads golden files and says how a request differs from the one that a golden exchange shows."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from sync_pipelines_tests.providers.golden.soql import soql_mistakes

FOLDER = Path(__file__).parent
CERTAINTIES = {"spec", "vendor documentation", "sdk source", "third party"}
MULTIPLE = {"properties", "associations", "propertiesWithHistory"}
"""Parameters that hold a list: HubSpot's specification repeats them, its text puts commas between; both are right."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    name: str
    source: str
    certainty: str
    request: dict
    response: dict
    versions: tuple = ()
    carries: tuple = ()
    optional: tuple = ()
    """Paths in the answer that the vendor's specification does not require: there or not."""
    trimmed: bool = False
    """The answer is shortened: the stand-in may give more keys than are typed here."""

    def path(self, version):
        return (
            self.request["path_2026_03"]
            if version == "2026-03" and "path_2026_03" in self.request
            else self.request["path"]
        )

    @property
    def form(self):
        return self.request.get("body", {}).get("form")

    @property
    def json(self):
        return self.request.get("body", {}).get("json")

    @property
    def body(self):
        """The response's body as bytes."""
        body = self.response["body"]
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request as it went over the line, whoever sent it."""

    method: str
    path: str
    params: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, request):
        """From an httpx.Request. A parameter given twice keeps both values, joined by a comma."""
        params = {}
        for name, value in parse_qsl(request.url.query.decode(), keep_blank_values=True, strict_parsing=False):
            params[name] = f"{params[name]},{value}" if name in params else value
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(method=request.method, path=request.url.path, params=params, headers=headers, body=request.read())


@cache
def exchanges(provider):
    """name -> Exchange of one golden file."""
    read = [
        Exchange(**{**entry, **{name: tuple(entry.get(name, ())) for name in ("versions", "carries", "optional")}})
        for entry in json.loads((FOLDER / f"{provider}.json").read_text(encoding="utf-8"))
    ]
    return {exchange.name: exchange for exchange in read}


def request_mistakes(golden, sent, *, version=None, token=None, **exceptions):
    """What is wrong with a request, in words; an empty list when it is the golden one.

    `exceptions`: parameter or JSON field name -> the value that this scenario must send instead of the golden one
    (a page size, the fields chosen); `None` allows any.
    """
    mistakes = []
    if sent.method != golden.request["method"]:
        mistakes.append(f"method {sent.method}, golden {golden.request['method']}")
    path = exceptions.pop("path", None) or golden.path(version)
    if sent.path.rstrip("/") != path.rstrip("/"):
        mistakes.append(f"path {sent.path}, golden {path}")
    fields = {
        name: exceptions.pop(name)
        for name in list(exceptions)
        if name in {**(golden.json or {}), **(golden.form or {})}
    }
    mistakes += _params(golden.request.get("params", {}), sent.params, exceptions)
    mistakes += _headers(golden.request.get("headers", {}), sent.headers, token)
    if golden.form is not None:
        form = dict(parse_qsl(sent.body.decode(), keep_blank_values=True))
        mistakes += _fields("form field", {**golden.form, **fields}, form)
    if golden.json is not None:
        mistakes += _json({**golden.json, **fields}, sent.body)
    return mistakes


def _params(golden, sent, exceptions):
    mistakes = []
    for name in sorted(golden.keys() | sent.keys() | exceptions.keys()):
        if name in exceptions and exceptions[name] is None:
            continue
        golden_value = exceptions.get(name, golden.get(name))
        if name not in sent:
            mistakes.append(f"parameter {name} is missing")
        elif golden_value is None:
            mistakes.append(f"parameter {name} is not in the golden request")
        elif name == "q":
            mistakes += soql_mistakes(golden_value, sent[name])
        elif name in MULTIPLE:
            if set(sent[name].split(",")) != set(golden_value.split(",")):
                mistakes.append(f"parameter {name} is {sent[name]!r}, golden {golden_value!r}")
        elif sent[name] != golden_value:
            mistakes.append(f"parameter {name} is {sent[name]!r}, golden {golden_value!r}")
    return mistakes


def _headers(golden, sent, token):
    mistakes = []
    for name, value in golden.items():
        got = sent.get(name.lower())
        if name == "Authorization":
            value = f"Bearer {token}" if token else value
            if got != value:
                mistakes.append(f"header Authorization is {got!r}, golden {value!r}")
        elif name == "Sforce-Query-Options":
            continue  # a hint to the vendor that a client may leave out
        elif got is None or got.split(";")[0].lower() != value.split(";")[0].lower():
            mistakes.append(f"header {name} is {got!r}, golden {value!r}")
    if "Authorization" not in golden and "authorization" in sent:
        mistakes.append("an Authorization header is sent where the golden request has none")
    return mistakes


def _json(expected, body):
    try:
        sent = json.loads(body)
    except ValueError:
        return [f"the body is not JSON: {body[:80]!r}"]
    mistakes = []
    if isinstance(expected.get("query"), str) and isinstance(sent.get("query"), str):
        mistakes += soql_mistakes(expected.pop("query"), sent.pop("query"))
    return mistakes + _fields("field", expected, sent)


def _fields(kind, golden, sent):
    mistakes = []
    for name in sorted(golden.keys() | sent.keys()):
        if name not in sent:
            mistakes.append(f"{kind} {name} is missing")
        elif name not in golden:
            mistakes.append(f"{kind} {name} is not in the golden request")
        elif golden[name] is not None and _plain(sent[name]) != _plain(golden[name]):
            mistakes.append(f"{kind} {name} is {sent[name]!r}, golden {golden[name]!r}")
    return mistakes


def _plain(value):
    """Order does not matter where a vendor takes a list of names."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value
