import csv
import io
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from sync_pipelines.sandbox.clock import parse
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.providers.golden.exchanges import FOLDER, exchanges
from sync_pipelines_tests.providers.golden.shapes import header_differences, shape_differences

ACCEPTED = json.loads((FOLDER / "accepted.json").read_text(encoding="utf-8"))
CUSTOMERS = {"salesforce": "acme-robotics", "hubspot": "lumen-bakery"}
SIZES = {
    "acme-robotics": {"User": 3, "Account": 20, "Contact": 2105, "Lead": 5, "Opportunity": 5},
    "lumen-bakery": {"owners": 130, "companies": 140, "contacts": 150, "deals": 12},
}
FIELDS = {"Score__c": "ARR__c", "favorite_number": "arr"}
"""Custom fields of the golden answers, and the ones of the same type that the invented accounts have."""
MAPS = {"hubspot": ("/results/[]/properties",), "salesforce": ()}
SMALLER = {
    # So that a small account has a second page, or none after it.
    "search first page": {"limit": 100},
    "search last page": {"limit": 100},
    "bulk query results last": {"maxRecords": "100000"},
}
WINDOW = {"1777593600000": "1600000000000"}
"""The invented records are older than the golden ones."""


class StandIn:
    """One golden request after the other, as the vendor's own documentation would have a client send them."""

    def __init__(self, control, provider, version):
        self.control = control
        self.provider = provider
        self.version = version
        self.account = control.account(CUSTOMERS[provider])
        self.carried = {**WINDOW, "golden-client": self.account.client_id, "golden-secret": self.account.client_secret}
        for golden in ("5Aep861.golden.refresh", "na1-golden-refresh"):
            self.carried[golden] = self.account.refresh_token
        self.renew_token()

    def renew_token(self):
        token = self.control.new_tokens(self.account.id)["access_token"]
        for golden in ("00D5f0000000001!AQ.golden", "CPgolden"):
            for ending in (".access", "-access", ".expired", "-expired"):
                self.carried[f"Bearer {golden}{ending}"] = f"Bearer {token}"

    def code(self):
        """What the vendor's login page gives once somebody has allowed the app."""
        path = {"salesforce": "/services/oauth2/authorize", "hubspot": "/oauth/authorize"}[self.provider]
        form = {
            "client_id": self.account.client_id,
            "redirect_uri": "https://app.example/connect/callback",
            "account": self.account.id,
            "decision": "allow",
        }
        if self.provider == "salesforce":
            digest = sha256(b"golden-verifier-golden-verifier-golden-verifier").digest()
            challenge = urlsafe_b64encode(digest).decode().rstrip("=")
            form |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        sent_back = httpx.post(self.account.login_url + path, data=form, trust_env=False)
        return parse_qs(urlsplit(sent_back.headers["location"]).query)["code"][0]

    def prepare(self, name):
        """What the exchange is about, where it takes something that has to be there before."""
        if name.startswith("token for a code") and "refused" not in name:
            self.carried["aPrxgolden.code"] = self.carried["na1-golden-code"] = self.code()
        if name.startswith("token revoked"):
            fresh = self.control.new_tokens(self.account.id)["refresh_token"]
            self.carried["5Aep861.golden.ended"] = self.carried["na1-golden-ended"] = fresh

    def fault(self, name):
        """Switches on what the exchange is about, where it is a fault."""
        faults = {
            "request limit exceeded": {"name": "rate_limit"},
            "rate limited ten secondly": {"name": "rate_limit", "policy": "TEN_SECONDLY_ROLLING"},
            "rate limited daily": {"name": "rate_limit", "policy": "DAILY"},
            "missing scopes": {"name": "missing_scope"},
        }
        if name in faults:
            self.control.fault(self.account.id, times=1, **faults[name])
        if name in ("session expired", "token expired"):
            self.control.expire_tokens(self.account.id)

    def send(self, exchange):
        self.prepare(exchange.name)
        self.fault(exchange.name)
        request = exchange.request
        root = self.account.login_url if request.get("host") == "login" else self.account.api_url
        headers = {name: self.adapted(value) for name, value in request.get("headers", {}).items()}
        params = self.adapted(request.get("params", {})) | self.instead(exchange.name, request.get("params", {}))
        content = None
        if exchange.form is not None:
            content = urlencode(self.adapted(exchange.form)).encode()
        if exchange.json is not None:
            content = json.dumps(self.adapted(exchange.json) | self.instead(exchange.name, exchange.json)).encode()
        with httpx.Client(trust_env=False) as client:
            answer = client.request(
                exchange.request["method"], root + self.path(exchange), params=params, headers=headers, content=content
            )
        if exchange.name in ("session expired", "token expired") or exchange.name.startswith("token revoked"):
            self.renew_token()
        self.carry(exchange, answer)
        return answer

    def instead(self, name, fields):
        return {key: value for key, value in SMALLER.get(name, {}).items() if key in fields}

    def path(self, exchange):
        path = exchange.path(self.version)
        for golden, live in self.carried.items():
            if len(golden) > 15 and golden in path:
                path = path.replace(golden, live)
        return path

    def adapted(self, value):
        if isinstance(value, dict):
            return {name: self.adapted(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.adapted(item) for item in value]
        if value in self.carried:
            return self.carried[value]
        for golden, live in FIELDS.items():
            value = value.replace(golden, live) if isinstance(value, str) else value
        return value

    def carry(self, exchange, answer):
        for place in exchange.carries:
            if place.startswith("header:"):
                name = place.removeprefix("header:")
                self.carried[exchange.response["headers"][name]] = answer.headers[name]
            else:
                self.carried[at(exchange.response["body"], place)] = at(answer.json(), place)

    def differences(self, exchange, answer):
        found = [] if answer.status_code == exchange.response["status"] else [f"status {answer.status_code}"]
        found += header_differences(exchange.response["headers"], answer.headers)
        golden = json.loads(renamed(json.dumps(exchange.response["body"])))
        if golden == "":
            found += ["a body where there is none"] if answer.content else []
        elif isinstance(golden, str):
            found += csv_differences(golden, answer.text)
        else:
            maps = MAPS[self.provider]
            found += shape_differences(
                golden, answer.json(), trimmed=exchange.trimmed, maps=maps, optional=exchange.optional
            )
        return found


def at(value, pointer):
    for name in pointer.strip("/").split("/"):
        value = value[name]
    return value


def renamed(text):
    for golden, live in FIELDS.items():
        text = text.replace(golden, live)
    return text


def csv_differences(golden, live):
    """Header row and the kind of every column; each cell of the golden answers stands in quotes."""
    rows = [list(csv.DictReader(io.StringIO(text))) for text in (golden, live)]
    found = shape_differences(*([{key: value or None for key, value in row.items()} for row in one] for one in rows))
    if not all(line.startswith('"') and line.endswith('"') for line in live.rstrip("\n").split("\n")):
        found.append("cells are not in quotes")
    return found


def prepared(control):
    """What the golden exchanges speak of: contacts with and without companies, archived owners, deleted contacts."""
    lumen, ids = CUSTOMERS["hubspot"], {}
    control.change(lumen, "contacts", deleted=3)
    control.change(lumen, "owners", deleted=2)
    companies = [control.record(lumen, "companies", fields={"name": name}) for name in ("One", "Two")]
    for golden in ("512", "513", "514"):
        ids[golden] = control.record(lumen, "contacts", fields={"email": f"c{golden}@golden.example", "arr": "12.50"})
    control.link(lumen, ("contacts", ids["512"]), ("companies", companies[0]), [(279, 280)])
    control.link(lumen, ("contacts", ids["512"]), ("companies", companies[1]), [(1, 2), (279, 280)])
    control.link(lumen, ("contacts", ids["514"]), ("companies", companies[0]), [(1, 2), (279, 280)])
    acme = CUSTOMERS["salesforce"]
    gone = next(record["id"] for record in control.truth(acme, "Contact") if not record["deleted"])
    control.record(acme, "Contact", operation="delete", id=gone, modified="2026-05-01T07:25:37Z")
    for golden in ("512", "514"):
        control.record(lumen, "contacts", operation="upsert", id=ids[golden], fields={"lifecyclestage": "customer"})
    control.settings(lumen, lists={"12": [ids[golden] for golden in ("512", "513", "514")] * 100})
    ids["003D000000IomazIAB"] = next(record["id"] for record in control.truth(acme, "Contact") if not record["deleted"])
    control.settings(acme, lists={"701D0000000abcdIAA": [ids["003D000000IomazIAB"]]})
    return ids


@pytest.fixture(scope="module")
def seeded():
    recipe = Recipe(seed=11, sizes=SIZES, epoch=parse("2026-05-02T00:00:00Z"))
    with serve(recipe) as control:
        ids = prepared(control)
        yield control, ids


def played(seeded, provider, version=None):
    control, ids = seeded
    control.clear_faults()
    stand_in = StandIn(control, provider, version)
    stand_in.carried |= ids
    found = {}
    for exchange in exchanges(provider).values():
        if version is None or not exchange.versions or version in exchange.versions:
            found[exchange.name] = sorted(stand_in.differences(exchange, stand_in.send(exchange)))
    return found


def accepted(provider, names):
    return {name: sorted(ACCEPTED[provider].get(name, {})) for name in names}


@pytest.mark.parametrize(("provider", "version"), [("salesforce", None), ("hubspot", "v3"), ("hubspot", "2026-03")])
def test_the_stand_in_answers_a_golden_request_in_the_golden_shape(seeded, provider, version):
    found = played(seeded, provider, version)
    assert found == accepted(provider, found), "either the stand-in is wrong, or golden/accepted.json is out of date"


def test_every_accepted_difference_has_its_reason():
    for provider, names in ACCEPTED.items():
        for name, differences in names.items():
            assert name in exchanges(provider)
            assert all(len(reason) > 20 for reason in differences.values())


def soql(text):
    return "GET", "/services/data/v67.0/query", {"q": text}


def bulk(query, operation="query", **rest):
    return "POST", "/services/data/v67.0/jobs/query", {"operation": operation, "query": query, **rest}


def search(*filters, groups=1, **rest):
    named = [dict(zip(("propertyName", "operator", "value"), one, strict=True)) for one in filters]
    body = {"filterGroups": [{"filters": named}] * groups, "sorts": [], "properties": [], "limit": 10, "after": "0"}
    return "POST", "/crm/v3/objects/contacts/search", body | rest


def batch(count):
    body = {"inputs": [{"id": str(one)} for one in range(count)], "properties": [], "propertiesWithHistory": []}
    return "POST", "/crm/v3/objects/contacts/batch/read", body


STAMPS = "SELECT Id FROM Contact WHERE SystemModstamp > "
WRONG = {
    # What our client could get wrong unnoticed if the stand-in were more patient than the vendor.
    "salesforce": {
        "datetime literal in quotes": soql(STAMPS + "'2026-01-01T00:00:00Z'"),
        "date where a datetime belongs": soql(STAMPS + "2026-01-01"),
        "plus sign lost in the URL": soql(STAMPS + "2026-01-01T00:00:00 00:00"),
        "AND and OR without parentheses": soql("SELECT Id FROM Contact WHERE Id != null AND Name = 'a' OR Name = 'b'"),
        "field twice": soql("SELECT Id, Id FROM Contact"),
        "star": soql("SELECT * FROM Contact"),
        "query under another name": ("GET", "/services/data/v67.0/query", {"query": "SELECT Id FROM Contact"}),
        "bulk as JSON": bulk("SELECT Id FROM Contact", contentType="JSON"),
        "bulk operation in lower case": bulk("SELECT Id FROM Contact", operation="queryall"),
        "bulk of a compound field": bulk("SELECT Id, MailingAddress FROM Contact"),
        "object of another vendor": ("GET", "/services/data/v67.0/sobjects/contacts/describe", {}),
    },
    "hubspot": {
        "list page too large": ("GET", "/crm/v3/objects/contacts", {"limit": "101"}),
        "search page too large": search(limit=201),
        "operator that is none": search(("email", "IS", "a")),
        "time that is none": search(("lastmodifieddate", "GTE", "yesterday")),
        "filter on an unknown property": search(("nobody", "EQ", "a")),
        "too many filter groups": search(("email", "EQ", "a"), groups=6),
        "batch too large": batch(101),
        "properties of an unknown object": ("GET", "/crm/v3/properties/unicorns", {}),
    },
}
NOT_FOUND = {"object of another vendor"}


@pytest.mark.parametrize(("provider", "name"), [(provider, name) for provider in WRONG for name in WRONG[provider]])
def test_the_stand_in_refuses_what_the_vendor_refuses(seeded, provider, name):
    stand_in = StandIn(seeded[0], provider, None)
    method, path, content = WRONG[provider][name]
    account = stand_in.account
    token = stand_in.carried["Bearer 00D5f0000000001!AQ.golden.access"]
    with httpx.Client(trust_env=False, headers={"Authorization": token}) as client:
        sent = {"params": content} if method == "GET" else {"json": content}
        answer = client.request(method, account.api_url + path, **sent)
    assert answer.status_code == (404 if name in NOT_FOUND else 400), answer.text[:300]
