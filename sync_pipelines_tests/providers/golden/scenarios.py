"""Conversations made of golden exchanges: each drives one provider and checks what comes out. Run by several suites."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from sync_pipelines.engine.connecting import revoked, tokens_by_code
from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.errors import ProtocolError, Reauthorize, SkipObject, Wait
from sync_pipelines.model.filter import AllOf, AnyOf, Test
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import CodeGrant, ReadPlan, Tokens, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.providers.golden.exchanges import exchanges
from sync_pipelines_tests.providers.golden.playback import Step, play, wallet

SINCE = datetime(2026, 5, 1, tzinfo=UTC)
UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
CLIENT = OAuthClient(client_id="golden-client", client_secret=Secret("golden-secret"))
NOTHING_MORE = {"totalSize": 0, "done": True, "records": []}


def refusal(error, action):
    """The error of class `error` that `action` ends with."""
    try:
        action()
    except error as caught:
        return caught
    raise AssertionError(f"no {error.__name__}")


def records_and_notices(session, flow):
    records, notices = [], []
    for step in session.read(flow):
        if isinstance(step, Page):
            records += [json.loads(record) for record in step.records]
        elif isinstance(step, Notice):
            notices.append(step)
    return records, notices


def by_id(records, key="id"):
    """In the order of ids: which of its lists a client reads first is its own business."""
    return sorted(records, key=lambda record: record[key])


def everything_was_played(transport):
    assert [step.name for step in transport.left] == [], "golden exchanges that were not asked for"


# Salesforce


def salesforce_fields(*names):
    told = {field["name"]: field["type"] for field in exchanges("salesforce")["describe"].response["body"]["fields"]}
    ours = {"boolean": "boolean", "double": "number", "date": "date", "datetime": "timestamp"}
    return tuple(
        VendorField(name=one, vendor_type=told.get(one, ""), type=ours.get(told.get(one), "text")) for one in names
    )


FIELDS = salesforce_fields("Id", "LastName", "IsDeleted", "Birthdate", "Score__c", "SystemModstamp")


def salesforce_plan(declared, **rest):
    return ReadPlan(**{"object": declared.find_object("Contact"), "fields": FIELDS, **rest})


def golden_salesforce_records(*names):
    found = [record for one in names for record in exchanges("salesforce")[one].response["body"]["records"]]
    return [{name: value for name, value in record.items() if name != "attributes"} for record in found]


def salesforce_describes(declared):
    session, transport = play(declared, ["describe"])
    schema = session.ask(declared.describe(declared.find_object("contact")))
    everything_was_played(transport)
    types = {field.name: field.type for field in schema.fields}
    assert types == {
        "Id": "text", "LeadSource": "text", "IsDeleted": "boolean", "MasterRecordId": "text", "AccountId": "text",
        "LastName": "text", "Name": "text", "Email": "text", "Birthdate": "date", "SystemModstamp": "timestamp",
        "Score__c": "number",
    }, "the compound MailingAddress is left out, everything else is there"  # fmt: skip
    by_name = {field.name: field for field in schema.fields}
    assert by_name["LeadSource"].choices == ("Web", "Phone Inquiry")
    assert by_name["Score__c"].custom
    assert not by_name["Email"].custom
    assert session.quota == (18, 5000)


def salesforce_identifies(declared):
    session, transport = play(declared, ["user info"])
    account = session.ask(declared.identify())
    everything_was_played(transport)
    assert account.id == "00D5f0000000001EAA"


def salesforce_counts(declared):
    session, transport = play(declared, ["count"])
    assert session.ask(declared.count(declared.find_object("Contact"))) == 4
    everything_was_played(transport)
    assert session.quota == (28, 5000)


def salesforce_counts_what_changed(declared):
    session, transport = play(declared, ["count changed"])
    assert session.ask(declared.changed(declared.find_object("Contact"), SINCE)) == 2
    everything_was_played(transport)


def salesforce_reads_everything_by_rest(declared):
    session, transport = play(declared, ["count", "query all", "query next page"])
    records, _ = records_and_notices(session, declared.read(salesforce_plan(declared)))
    everything_was_played(transport)
    assert records == golden_salesforce_records("query all", "query next page")


def salesforce_reads_what_changed(declared):
    session, transport = play(declared, ["query all", "query next page"])
    records, _ = records_and_notices(session, declared.read(salesforce_plan(declared, since=SINCE, until=UNTIL)))
    everything_was_played(transport)
    assert records == golden_salesforce_records("query all", "query next page")
    asked = transport.sent[0].params["q"]
    assert "SystemModstamp >= 2026-05-01T00:00:00" in asked
    assert "SystemModstamp < 2027-01-01T00:00:00" in asked


def salesforce_filter(declared):
    """A filter of every kind of literal, resolved as the engine does it."""
    named = {field.name: field for field in (*FIELDS, *salesforce_fields("LeadSource"))}
    return AllOf(
        (
            Test(named["LastName"], "contains", ("u_n",)),
            Test(named["LeadSource"], "not_in", ("web", "phone inquiry")),
            Test(named["Score__c"], "greater_or_equal", (Decimal("12.5"),)),
            Test(named["Birthdate"], "is_set"),
            Test(named["SystemModstamp"], "after", (datetime(2026, 1, 1, tzinfo=UTC),)),
        )
    )


def salesforce_reads_what_fits_a_filter(declared):
    where = salesforce_filter(declared)
    assert declared.pushed(declared.find_object("Contact"), where) == where
    session, transport = play(declared, [Step("count", answer={**NOTHING_MORE, "totalSize": 1}), "query filtered"])
    records, _ = records_and_notices(session, declared.read(salesforce_plan(declared, where=where)))
    everything_was_played(transport)
    assert records == golden_salesforce_records("query filtered")
    golden = exchanges("salesforce")["query filtered"].request["params"]["q"]
    assert transport.sent[1].params["q"] == golden, "word for word as the references have it"
    condition = golden.split(" OR (", 1)[1].rsplit("))", 1)[0]
    assert transport.sent[0].params["q"].endswith(f"WHERE IsDeleted = false AND ({condition})")


def salesforce_reads_the_members_of_a_campaign(declared):
    session, transport = play(declared, ["campaign members"])
    found = session.ask(declared.members(declared.find_object("Contact"), "701D0000000abcdIAA"))
    everything_was_played(transport)
    assert found == {"003D000000IomazIAB"}


def salesforce_goes_on_after_an_expired_locator(declared):
    expired = Step("expired query locator", {"path": exchanges("salesforce")["query next page"].path(None)})
    steps = ["query all", expired, Step("query all", answer=NOTHING_MORE)]
    session, transport = play(declared, steps)
    records, _ = records_and_notices(session, declared.read(salesforce_plan(declared, since=SINCE)))
    everything_was_played(transport)
    assert records == golden_salesforce_records("query all")
    assert "Id > '003D000000IomazIAB'" in transport.sent[2].params["q"]


def salesforce_reads_by_bulk(declared):
    session, transport = play(
        declared,
        [
            "count", "bulk query create", "bulk query in progress", "bulk query complete",
            Step("bulk query results first", {"maxRecords": None}),
            Step("bulk query results last", {"maxRecords": None}),
        ],
    )  # fmt: skip
    records, notices = records_and_notices(session, declared.read(salesforce_plan(declared, bulk_above=2)))
    everything_was_played(transport)
    assert notices == []
    plain, next_page = golden_salesforce_records("query all"), golden_salesforce_records("query next page")
    assert records == [plain[0], {**plain[1], "LastName": 'Wright, "Bo"'}, *next_page], "the same JSON as REST gives"
    assert session.quota == (31, 5000)


def salesforce_leaves_a_vanished_field_out(declared):
    steps = [
        Step("invalid field", {"path": exchanges("salesforce")["query all"].path(None)}),
        Step("query all", {"q": "SELECT Id FROM Contact"}, NOTHING_MORE),
    ]
    session, transport = play(declared, steps)
    plan = salesforce_plan(declared, fields=salesforce_fields("Id", "Vanished__c"), limit=10)
    _, notices = records_and_notices(session, declared.read(plan))
    everything_was_played(transport)
    assert [notice.field for notice in notices] == ["Vanished__c"]


def salesforce_refreshes_an_expired_session(declared):
    credentials = wallet("salesforce", access="00D5f0000000001!AQ.golden.expired")
    session, transport = play(declared, ["session expired", "token refresh", "describe"], credentials=credentials)
    transport.token = "00D5f0000000001!AQ.golden.expired"
    session.ask(declared.describe(declared.find_object("Contact")))
    everything_was_played(transport)
    assert credentials.tokens.access_token.reveal() == "00D5f0000000001!AQ.golden.access.two"
    assert credentials.tokens.api_url == "https://acme.my.salesforce.com"


def salesforce_tells_when_the_refresh_is_refused(declared):
    credentials = wallet("salesforce", refresh="5Aep861.golden.revoked")
    session, transport = play(declared, ["session expired", "token refresh refused"], credentials=credentials)
    refusal(Reauthorize, lambda: session.ask(declared.describe(declared.find_object("Contact"))))
    everything_was_played(transport)
    assert credentials.expired


GRANT = CodeGrant(
    code=Secret("aPrxgolden.code"),
    redirect_uri="https://app.example/connect/callback",
    verifier=Secret("golden-verifier-golden-verifier-golden-verifier"),
)


def salesforce_makes_tokens_of_a_code(declared):
    session, transport = play(declared, ["token for a code"])
    tokens = session.ask(tokens_by_code(declared, CLIENT, GRANT))
    everything_was_played(transport)
    assert tokens.refresh_token.reveal() == "5Aep861.golden.first"
    assert tokens.api_url == "https://acme.my.salesforce.com"


def salesforce_tells_when_a_code_is_refused(declared):
    session, transport = play(declared, ["token for a code refused"])
    old = replace(GRANT, code=Secret("aPrxgolden.old"))
    refusal(Reauthorize, lambda: session.ask(tokens_by_code(declared, CLIENT, old)))
    everything_was_played(transport)


def salesforce_revokes(declared):
    session, transport = play(declared, ["token revoked"])
    ended = Tokens(access_token=Secret("unused-access"), refresh_token=Secret("5Aep861.golden.ended"))
    session.ask(revoked(declared, CLIENT, ended))
    everything_was_played(transport)


COUNTING = {"q": None, "path": "/services/data/v67.0/queryAll"}


def _salesforce_error(name, error, ask, **instead):
    def scenario(declared):
        session, transport = play(declared, [Step(name, instead)])
        refusal(error, lambda: session.ask(ask(declared)))
        everything_was_played(transport)

    scenario.__name__ = f"salesforce_{name.replace(' ', '_')}_is_{error.__name__}"
    return scenario


SALESFORCE = (
    salesforce_describes,
    salesforce_identifies,
    salesforce_counts,
    salesforce_counts_what_changed,
    salesforce_reads_everything_by_rest,
    salesforce_reads_what_changed,
    salesforce_reads_what_fits_a_filter,
    salesforce_reads_the_members_of_a_campaign,
    salesforce_goes_on_after_an_expired_locator,
    salesforce_reads_by_bulk,
    salesforce_leaves_a_vanished_field_out,
    salesforce_refreshes_an_expired_session,
    salesforce_tells_when_the_refresh_is_refused,
    salesforce_makes_tokens_of_a_code,
    salesforce_tells_when_a_code_is_refused,
    salesforce_revokes,
    _salesforce_error("describe unknown object", SkipObject, lambda p: p.describe(p.find_object("Unicorn__c"))),
    _salesforce_error("request limit exceeded", Wait, lambda p: p.describe(p.find_object("Contact"))),
    _salesforce_error("malformed query", ProtocolError, lambda p: p.count(p.find_object("Contact")), **COUNTING),
    _salesforce_error("invalid type", SkipObject, lambda p: p.count(p.find_object("Unicorn__c")), **COUNTING),
)


# HubSpot

PROPERTIES = tuple(VendorField(name=name) for name in ("email", "lifecyclestage", "favorite_number"))


def hubspot_plan(declared, name="contacts", **rest):
    return ReadPlan(**{"object": declared.find_object(name), "fields": PROPERTIES, **rest})


def version_of(declared):
    return "v3" if declared.auth.token_path == "/oauth/v1/token" else "2026-03"


def hubspot_play(declared, steps, **rest):
    return play(declared, steps, version=version_of(declared), **rest)


def golden_hubspot_records(name, **companies):
    """As our canonical text has them: companies as ids, the primary first; nothing that the vendor adds elsewhere."""
    found = []
    for record in exchanges("hubspot")[name].response["body"]["results"]:
        kept = {key: value for key, value in record.items() if key != "associations"}
        if not record["archived"]:
            kept["associations"] = {"companies": companies.get(f"of_{record['id']}", [])}
        found.append(kept)
    return found


def hubspot_describes(declared):
    session, transport = hubspot_play(declared, ["properties"])
    schema = session.ask(declared.describe(declared.find_object("contact")))
    everything_was_played(transport)
    assert {field.name: field.type for field in schema.fields} == {
        "email": "text", "lifecyclestage": "text", "favorite_number": "number",
    }  # fmt: skip
    by_name = {field.name: field for field in schema.fields}
    assert by_name["lifecyclestage"].choices == ("lead", "customer")
    assert by_name["favorite_number"].custom, "hubspotDefined is not required and absent for custom properties"
    assert not by_name["email"].custom


def hubspot_describes_deals_with_stages(declared):
    of_deals = {"path": exchanges("hubspot")["properties"].path(version_of(declared)).replace("contacts", "deals")}
    session, transport = hubspot_play(declared, [Step("properties", of_deals), "pipelines"])
    schema = session.ask(declared.describe(declared.find_object("opportunity")))
    everything_was_played(transport)
    assert schema.lookups["pipelines"] == {"default": "Sales Pipeline"}
    assert schema.lookups["stages"] == {"appointmentscheduled": "Appointment Scheduled", "closedwon": "Closed Won"}


def hubspot_identifies(declared):
    session, transport = hubspot_play(declared, ["account details"])
    assert session.ask(declared.identify()).id == "62515"
    everything_was_played(transport)


def hubspot_lists_everything(declared):
    companies = {"associations": "companies"}
    session, transport = hubspot_play(
        declared, [Step("list first page", companies), Step("list last page", companies), "list archived"]
    )
    records, notices = records_and_notices(session, declared.read(hubspot_plan(declared)))
    everything_was_played(transport)
    assert notices == []
    assert by_id(records) == by_id(
        [
            *golden_hubspot_records("list first page"),
            *golden_hubspot_records("list last page"),
            *golden_hubspot_records("list archived"),
        ]
    )


def hubspot_lists_with_companies(declared):
    session, transport = hubspot_play(declared, ["list with associations", "list archived"])
    records, _ = records_and_notices(session, declared.read(hubspot_plan(declared)))
    everything_was_played(transport)
    live = golden_hubspot_records("list with associations", of_512=["7002", "7001"])
    assert by_id(records) == by_id([*live, *golden_hubspot_records("list archived")])


def hubspot_searches_what_changed(declared):
    """Our client goes on by id instead of by `after`: so the second request differs from the golden one in two keys."""
    golden = exchanges("hubspot")["search last page"].json
    filters = [
        *golden["filterGroups"][0]["filters"],
        {"propertyName": "hs_object_id", "operator": "GT", "value": "513"},
    ]
    second = {"after": "0", "filterGroups": [{"filters": filters}]}
    steps = [
        "search first page", "associations batch read partly",
        Step("search last page", second), Step("associations batch read", {"inputs": [{"id": "514"}]}),
        "list archived",
    ]  # fmt: skip
    session, transport = hubspot_play(declared, steps)
    records, notices = records_and_notices(session, declared.read(hubspot_plan(declared, since=SINCE, until=UNTIL)))
    everything_was_played(transport)
    assert notices == []
    assert by_id(records) == by_id(
        [
            *golden_hubspot_records("search first page", of_512=["7002", "7001"]),
            *golden_hubspot_records("search last page", of_514=["7001"]),
            *golden_hubspot_records("list archived"),
        ]
    )


def hubspot_filter():
    stage = VendorField(name="lifecyclestage", vendor_type="enumeration", choices=("lead", "customer"))
    email = VendorField(name="email", vendor_type="string")
    number = VendorField(name="favorite_number", type="number", vendor_type="number")
    known = AnyOf((Test(email, "in", ("jane@acme.example", "c512@golden.example")), Test(email, "is_not_set")))
    return AllOf((Test(stage, "equals", ("customer",)), known, Test(number, "greater_or_equal", (Decimal("12.5"),))))


def hubspot_searches_what_fits_a_filter(declared):
    where = hubspot_filter()
    assert declared.pushed(declared.find_object("contacts"), where) == where
    steps = ["list archived", "search by values", Step("associations batch read", {"inputs": [{"id": "512"}]})]
    session, transport = hubspot_play(declared, steps)
    records, _ = records_and_notices(session, declared.read(hubspot_plan(declared, where=where)))
    everything_was_played(transport)
    assert [record["id"] for record in records] == ["498", "512"]


def hubspot_counts_what_fits_a_filter(declared):
    instead = {"sorts": [], "properties": [], "limit": 1}
    session, transport = hubspot_play(declared, [Step("search by values", instead)])
    assert session.ask(declared.count(declared.find_object("contacts"), hubspot_filter())) == 1
    everything_was_played(transport)


def hubspot_reads_the_members_of_a_list(declared):
    last = {"results": [{"recordId": "513", "membershipTimestamp": "2026-05-01T07:25:37.000Z"}], "total": 3}
    session, transport = hubspot_play(declared, ["list memberships", Step("list memberships", {"after": "MTIz"}, last)])
    assert session.ask(declared.members(declared.find_object("contacts"), "12")) == {"512", "513", "514"}
    everything_was_played(transport)


def hubspot_counts(declared):
    session, transport = hubspot_play(declared, ["count by search"])
    assert session.ask(declared.count(declared.find_object("contacts"))) == 25017, "more than any paging would reach"
    everything_was_played(transport)


def hubspot_counts_owners(declared):
    steps = ["owners", Step("owners", {"after": "41629780"}, {"results": []})]
    session, transport = hubspot_play(declared, steps)
    owners = exchanges("hubspot")["owners"].response["body"]["results"]
    assert session.ask(declared.count(declared.find_object("owners"))) == len(owners)
    everything_was_played(transport)


def hubspot_counts_what_changed(declared):
    """What search finds, and of the archived those that became so since."""
    since = {
        "filterGroups": [
            {"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1777593600000"}]}
        ]
    }
    for moment, expected in ((SINCE, 4), (datetime(2026, 5, 10, tzinfo=UTC), 3)):
        since["filterGroups"][0]["filters"][0]["value"] = str(int(moment.timestamp() * 1000))
        instead = {**since, "sorts": [], "properties": [], "limit": 1}
        steps = [Step("list archived", {"properties": None}), Step("search first page", instead)]
        session, transport = hubspot_play(declared, steps)
        assert session.ask(declared.changed(declared.find_object("contacts"), moment)) == expected
        everything_was_played(transport)


def hubspot_reads_wide_objects_by_batch(declared):
    """With more property names than a URL holds, the list only tells ids and batch/read tells the rest."""
    names = [f"property_with_a_rather_long_name_{number:04d}" for number in range(300)]
    body = exchanges("hubspot")["list first page"].response["body"]
    steps = [
        Step(
            "list first page", {"associations": "companies", "properties": "hs_object_id"}, {"results": body["results"]}
        ),
        Step("batch read", {"properties": names, "archived": "false"}),
        Step("list archived", {"properties": "hs_object_id"}, {"results": []}),
    ]
    session, transport = hubspot_play(declared, steps)
    fields = tuple(VendorField(name=name) for name in names)
    records, _ = records_and_notices(session, declared.read(hubspot_plan(declared, fields=fields)))
    everything_was_played(transport)
    assert records == golden_hubspot_records("list first page")


def hubspot_lists_owners(declared):
    last = {"results": []}
    steps = ["owners", Step("owners", {"after": "41629780"}, last), "owners archived"]
    session, transport = hubspot_play(declared, steps)
    records, _ = records_and_notices(session, declared.read(hubspot_plan(declared, "user", fields=())))
    everything_was_played(transport)
    golden = exchanges("hubspot")
    assert by_id(records) == by_id(
        [
            *golden["owners"].response["body"]["results"],
            *golden["owners archived"].response["body"]["results"],
        ]
    )


def hubspot_reads_associations_as_records(declared):
    """Ids from the list, links from the associations API; a record without any is told as one without any."""
    ids = {"properties": "hs_object_id"}
    inputs = {"inputs": [{"id": "512"}, {"id": "513"}, {"id": "514"}]}
    steps = [
        Step("list first page", ids), Step("list last page", ids), Step("associations batch read partly", inputs),
    ]  # fmt: skip
    session, transport = hubspot_play(declared, steps)
    plan = hubspot_plan(declared, "contacts.associations", fields=(), associated=("companies",))
    (page,) = (step for step in session.read(declared.read(plan)) if isinstance(step, Page))
    everything_was_played(transport)
    assert page.groups == {"512": 3, "513": 0, "514": 0}
    records = [json.loads(record) for record in page.records]
    assert [(one["to_id"], one["type_id"], one["label"]) for one in records] == [
        ("7001", "279", None), ("7002", "1", "Primary"), ("7002", "279", None),
    ]  # fmt: skip
    ends = {(one["from_object"], one["from_id"], one["to_object"], one["category"]) for one in records}
    assert ends == {("contacts", "512", "companies", "HUBSPOT_DEFINED")}


def hubspot_refreshes_an_expired_token(declared):
    credentials = wallet("hubspot", access="CPgolden-expired")
    refresh = "token refresh v1" if version_of(declared) == "v3" else "token refresh 2026-03"
    session, transport = hubspot_play(declared, ["token expired", refresh, "properties"], credentials=credentials)
    transport.token = "CPgolden-expired"
    session.ask(declared.describe(declared.find_object("contacts")))
    everything_was_played(transport)
    assert credentials.tokens.access_token.reveal() == "CPgolden-access-two"
    assert 1700 < (credentials.tokens.expires_at - datetime.now(UTC)).total_seconds() <= 1800


def hubspot_tells_when_the_refresh_is_refused(declared):
    credentials = wallet("hubspot", refresh="na1-golden-revoked")
    refused = "token refresh refused v1" if version_of(declared) == "v3" else "token refresh refused 2026-03"
    session, transport = hubspot_play(declared, ["token expired", refused], credentials=credentials)
    refusal(Reauthorize, lambda: session.ask(declared.describe(declared.find_object("contacts"))))
    everything_was_played(transport)
    assert credentials.expired


def of_version(declared, name):
    return f"{name} v1" if version_of(declared) == "v3" else f"{name} 2026-03"


def hubspot_makes_tokens_of_a_code(declared):
    session, transport = hubspot_play(declared, [of_version(declared, "token for a code")])
    grant = replace(GRANT, code=Secret("na1-golden-code"), verifier=None)
    tokens = session.ask(tokens_by_code(declared, CLIENT, grant))
    everything_was_played(transport)
    assert tokens.refresh_token.reveal() == "na1-golden-first"
    assert 1700 < (tokens.expires_at - datetime.now(UTC)).total_seconds() <= 1800


def hubspot_tells_when_a_code_is_refused(declared):
    session, transport = hubspot_play(declared, [of_version(declared, "token for a code refused")])
    old = replace(GRANT, code=Secret("na1-golden-old"), verifier=None)
    refusal(Reauthorize, lambda: session.ask(tokens_by_code(declared, CLIENT, old)))
    everything_was_played(transport)


def hubspot_revokes(declared):
    name = "token revoked v3" if version_of(declared) == "v3" else "token revoked 2026-03"
    session, transport = hubspot_play(declared, [name])
    ended = Tokens(access_token=Secret("unused-access"), refresh_token=Secret("na1-golden-ended"))
    session.ask(revoked(declared, CLIENT, ended))
    everything_was_played(transport)


def hubspot_waits_ten_seconds(declared):
    session, transport = hubspot_play(declared, ["rate limited ten secondly"])
    refused = refusal(Wait, lambda: session.ask(declared.describe(declared.find_object("contacts"))))
    everything_was_played(transport)
    assert refused.until is None or (refused.until - datetime.now(UTC)).total_seconds() < 60


def hubspot_waits_for_another_day(declared):
    session, transport = hubspot_play(declared, ["rate limited daily"])
    refused = refusal(Wait, lambda: session.ask(declared.describe(declared.find_object("contacts"))))
    everything_was_played(transport)
    assert refused.until is not None
    assert (refused.until - datetime.now(UTC)).total_seconds() > 600


def hubspot_skips_what_it_may_not_read(declared):
    session, transport = hubspot_play(declared, [Step("missing scopes", {"associations": None, "archived": None})])
    refused = refusal(SkipObject, lambda: list(session.read(declared.read(hubspot_plan(declared)))))
    everything_was_played(transport)
    assert "crm.objects.contacts.read" in str(refused), "the message names the scope that is missing"


def hubspot_takes_a_refused_search_for_our_mistake(declared):
    instead = {"filterGroups": None, "sorts": None, "properties": None, "limit": None, "after": None}
    session, transport = hubspot_play(declared, [Step("search past ten thousand", instead)])
    refusal(ProtocolError, lambda: session.ask(declared.count(declared.find_object("contacts"))))
    everything_was_played(transport)


HUBSPOT = (
    hubspot_describes,
    hubspot_describes_deals_with_stages,
    hubspot_identifies,
    hubspot_lists_everything,
    hubspot_lists_with_companies,
    hubspot_searches_what_changed,
    hubspot_searches_what_fits_a_filter,
    hubspot_counts_what_fits_a_filter,
    hubspot_reads_the_members_of_a_list,
    hubspot_counts,
    hubspot_counts_owners,
    hubspot_counts_what_changed,
    hubspot_reads_wide_objects_by_batch,
    hubspot_lists_owners,
    hubspot_reads_associations_as_records,
    hubspot_refreshes_an_expired_token,
    hubspot_tells_when_the_refresh_is_refused,
    hubspot_makes_tokens_of_a_code,
    hubspot_tells_when_a_code_is_refused,
    hubspot_revokes,
    hubspot_waits_ten_seconds,
    hubspot_waits_for_another_day,
    hubspot_skips_what_it_may_not_read,
    hubspot_takes_a_refused_search_for_our_mistake,
)
