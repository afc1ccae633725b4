"""Wrong facts on purpose: a declaration whose flows ask or read otherwise than the vendor documents."""

import json
from dataclasses import replace

from sync_pipelines.model.flow import Request, Response


def mutated(declared, *, ask=None, hear=None):
    """The declaration with every request passed through `ask` and every answer through `hear`, both ways."""

    def flow(made):
        answer = None
        error = None
        try:
            while True:
                step = made.throw(error) if error else made.send(answer)
                answer, error = None, None
                try:
                    answer = yield ask(step) if ask and isinstance(step, Request) else step
                except Exception as raised:
                    error = raised
                if hear and isinstance(answer, Response):
                    answer = hear(answer)
        except StopIteration as finished:
            return finished.value

    def wrapped(make):
        return lambda *arguments: flow(make(*arguments))

    def token_request(*arguments):
        return ask(declared.refresh(*arguments)) if ask else declared.refresh(*arguments)

    def judged(request, response):
        return declared.classify(request, hear(response) if hear else response)

    def told(headers):
        return declared.usage(hear(Response(200, headers, b"null")).headers if hear else headers)

    return replace(
        declared,
        describe=wrapped(declared.describe),
        read=wrapped(declared.read),
        count=wrapped(declared.count),
        changed=wrapped(declared.changed),
        identify=wrapped(declared.identify),
        refresh=token_request,
        token_from=lambda response: declared.token_from(hear(response) if hear else response),
        classify=judged,
        usage=told,
    )


def asks(**changes):
    """The request with attributes changed: path=("old", "new"), or a function of the old value."""

    def ask(request):
        changed = {}
        for name, change in changes.items():
            value = getattr(request, name)
            changed[name] = change(value) if callable(change) else value.replace(*change)
        return replace(request, **changed)

    return {"ask": ask}


def renames(where, old, new):
    """A parameter, form field, header or JSON key by another name wherever it is sent."""

    def rename(value):
        if isinstance(value, dict):
            return {(new if name == old else name): rename(item) for name, item in value.items() if name != old or new}
        return [rename(item) for item in value] if isinstance(value, list) else value

    return asks(**{where: lambda value: rename(dict(value)) if value else value})


def drops(where, name):
    """A parameter, form field, header or JSON key is not sent."""
    return renames(where, name, None)


def texts(old, new):
    """Another text in every value of the JSON body and the parameters."""

    def change(value):
        return json.loads(json.dumps(value).replace(old, new)) if value else value

    return asks(params=lambda value: change(dict(value)), json=change)


def sends(field, value):
    """Another value in a field of the JSON body, where it has that field."""
    return asks(json=lambda body: {**body, field: value} if body and field in body else body)


def misreads(old, new=b""):
    """Our code looks for something else in the answer's body than the vendor writes."""
    return {"hear": lambda answer: replace(answer, body=answer.body.replace(old, new))}


def overlooks_header(name):
    return {
        "hear": lambda answer: replace(
            answer, headers={key: value for key, value in answer.headers.items() if key != name}
        )
    }


SALESFORCE = {
    "query parameter named query": renames("params", "q", "query"),
    "query instead of queryAll": asks(path=("/queryAll", "/query")),
    "older version in the path": asks(path=("/v67.0/", "/v47.0/")),
    "describe path without the object's folder": asks(path=("/sobjects/", "/objects/")),
    "user info elsewhere": asks(path=("/oauth2/userinfo", "/oauth2/me")),
    "token path of another vendor": asks(path=("/services/oauth2/token", "/oauth2/token")),
    "refresh sent to the instance": asks(host=("login", "api")),
    "refresh without client secret": drops("form", "client_secret"),
    "refresh with the wrong grant": asks(form=lambda form: form and {**form, "grant_type": "authorization_code"}),
    "datetime literal in quotes": texts(">= 2026-05-01T00:00:00.000Z", ">= '2026-05-01T00:00:00.000Z'"),
    "id literal without quotes": texts("'003D000000IomazIAB'", "003D000000IomazIAB"),
    "next page under another name": misreads(b"nextRecordsUrl", b"nextPageUrl"),
    "total under another name": misreads(b'"totalSize"', b'"size"'),
    "bulk job for live records only": texts("queryAll", "query"),
    "bulk job as JSON": texts('"CSV"', '"JSON"'),
    "bulk delimiter as a character": texts('"COMMA"', '","'),
    "bulk state under another name": misreads(b'"JobComplete"', b'"Complete"'),
    "bulk locator header overlooked": overlooks_header("sforce-locator"),
    "bulk locator parameter renamed": renames("params", "locator", "queryLocator"),
    "bulk results without Accept": asks(headers=lambda headers: {}),
    "results path": asks(path=("/results", "/result")),
    "CSV timestamps misread": misreads(b'.000Z"', b'.000"'),
    "quota header overlooked": overlooks_header("sforce-limit-info"),
    "error code under another name": misreads(b'"errorCode"', b'"code"'),
    "compound type under another name": misreads(b'"address"', b'"complex"'),
    "custom flag under another name": misreads(b'"custom":', b'"isCustom":'),
    "organization under another name": misreads(b'"organization_id"', b'"org_id"'),
}  # fmt: skip

HUBSPOT = {
    "page token under another name": misreads(b'"after":', b'"cursor":'),
    "after sent as offset": renames("params", "after", "offset"),
    "limit sent as count": renames("params", "limit", "count"),
    "page too large": asks(params=lambda params: {**params, **({"limit": "250"} if "limit" in params else {})}),
    "archived left out": drops("params", "archived"),
    "properties under another name": renames("params", "properties", "property"),
    "associations left out": drops("params", "associations"),
    "older object path": asks(path=("/objects/contacts", "/contacts")),
    "search by GET path": asks(path=("/search", "/searches")),
    "search without sorts": drops("json", "sorts"),
    "search without after": drops("json", "after"),
    "search sorted by objects": sends("sorts", [{"propertyName": "hs_object_id"}]),
    "search page too large": sends("limit", 500),
    "search in seconds": texts("1777593600000", "1777593600"),
    "search by another operator": texts('"GTE"', '"GREATER_THAN"'),
    "search by another property": texts('"lastmodifieddate"', '"hs_lastmodifieddate"'),
    "batch read without history list": drops("json", "propertiesWithHistory"),
    "associated id under another name": misreads(b'"toObjectId"', b'"id"'),
    "primary type id": misreads(b'"typeId":1,', b'"typeId":4,'),
    "primary type name": misreads(b'"contact_to_company"', b'"contact_to_company_primary"'),
    "associations of the older version": asks(path=("/associations/", "/association/")),
    "properties elsewhere": asks(path=("/properties/", "/property/")),
    "pipelines elsewhere": asks(path=("/pipelines/", "/pipeline/")),
    "owners elsewhere": asks(path=("/owners", "/users")),
    "account elsewhere": asks(path=("/details", "/me")),
    "token path": asks(path=("/token", "/refresh")),
    "token request without secret": drops("form", "client_secret"),
    "lifetime under another name": misreads(b'"expires_in"', b'"expiresIn"'),
    "portal under another name": misreads(b'"portalId"', b'"hubId"'),
    "stage label under another name": misreads(b'"label":"Closed Won"', b'"label":"closedwon"'),
    "custom flag turned round": misreads(b'"hubspotDefined":true', b'"hubspotDefined":false'),
    "rate policy under another name": misreads(b'"policyName"', b'"policy"'),
    "refusal status under another name": misreads(b'BAD_REFRESH_TOKEN', b'BAD_TOKEN'),
    "archived stamp under another name": misreads(b'"archivedAt"', b'"deletedAt"'),
}  # fmt: skip
