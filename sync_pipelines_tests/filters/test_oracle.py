"""Random filters: pushed down or applied before load, the same records fit as by a plain reading of the words.

The vendor's answer is asked for over real HTTP, by every way there is to read, and judged once more as the engine does;
the oracle knows nothing of SOQL, search or masks.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sync_pipelines.engine.filtering import masks, resolve
from sync_pipelines.http_client import VendorSession
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.filter import AllOf, AnyOf, Condition, all_of, leaves, weakened
from sync_pipelines.model.flow import Page
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.fixtures.place import ACME, LUMEN
from sync_pipelines_tests.http_client.scripted import StoredTokens

HOSTILE = (
    "Sales", "SALES", "sales ", "Sales_", "S%", "100%", "a_b", "a\\b", "\\", "'", "O'Brien", "x' OR Id != '", "\"", ";",
    "Gold;Silver", "Élan", "élan", "null", "true", "5", "line\nbreak", "日本", "R&D", "(a)", "a,b", "--", "*", "Sal*",
)  # fmt: skip
FIELDS = {
    "salesforce": {
        "Department": "text", "LeadSource": "text", "Products__c": "text", "Tier__c": "text", "ARR__c": "number",
        "Strategic__c": "boolean", "Renewal_Date__c": "date", "CreatedDate": "timestamp", "AccountId": "text",
    },
    "hubspot": {
        "jobtitle": "text", "lifecyclestage": "text", "tier": "text", "arr": "number", "is_strategic": "boolean",
        "renewal_date": "date", "createdate": "timestamp", "notes_last_updated": "timestamp",
        "hubspot_owner_id": "text",
    },
}  # fmt: skip
FREE_TEXT = {"salesforce": "Department", "hubspot": "jobtitle"}
CUSTOMERS = {"salesforce": (ACME, "Contact"), "hubspot": (LUMEN, "contacts")}


class Stand:
    """One account whose records hold hostile values, and all that is known of them."""

    def __init__(self, control, vendor):
        customer, name = CUSTOMERS[vendor]
        self.vendor, self.provider = vendor, PROVIDERS[vendor]
        self.object = self.provider.find_object(name)
        ids = [record["id"] for record in control.truth(customer, name) if not record["deleted"]]
        for id, text in zip(ids, (*HOSTILE, None, ""), strict=False):
            control.record(customer, name, operation="upsert", id=id, fields={FREE_TEXT[vendor]: text})
        account, tokens = control.account(customer), control.new_tokens(customer)
        self.session = VendorSession(
            self.provider,
            Connection(
                id=1, customer_id=customer, provider=vendor, login_url=account.login_url, api_url=account.api_url
            ),
            StoredTokens(tokens["access_token"], tokens["refresh_token"]),
            OAuthClient(client_id=account.client_id, client_secret=Secret(account.client_secret)),
            sleep=lambda seconds: None,
        )
        self.schema = self.session.ask(self.provider.describe(self.object))
        self.now = self.session.vendor_now()
        self.records = self.read(None)
        self.values = {
            name: sorted({str(value) for record in self.records.values() if (value := self.of(record, name))})
            for name in FIELDS[vendor]
        }

    def of(self, record, name):
        return record["properties"][name] if self.vendor == "hubspot" else record[name]

    def read(self, where, **more):
        """Live records that the vendor gives for a resolved filter, judged again, by id."""
        part = None if where is None else self.provider.pushed(self.object, where)
        plan = ReadPlan(object=self.object, fields=self.schema.fields, where=part, **{"bulk_above": 10**6, **more})
        pages = [step for step in self.session.read(self.provider.read(plan)) if isinstance(step, Page)]
        texts = [text for page in pages for text in page.records]
        fits = [True] * len(texts) if where is None else masks(where, self.object.shape, {})(texts)
        found = [msgspec.json.decode(text) for text, fit in zip(texts, fits, strict=True) if fit]
        id, deleted = ("id", "archived") if self.vendor == "hubspot" else ("Id", "IsDeleted")
        return {record[id]: record for record in found if not record[deleted]}


@pytest.fixture(scope="module")
def stands():
    with serve(Recipe(seed=3, scale=0.03)) as control:
        found = {vendor: Stand(control, vendor) for vendor in CUSTOMERS}
        yield found
        for stand in found.values():
            stand.session.close()


def as_kind(kind, value):
    """A value of a record or a filter, plainly."""
    if value is None or value == "":
        return None
    if kind == "number":
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return None
    if kind == "boolean":
        return str(value).lower() == "true"
    if kind == "date":
        return date.fromisoformat(str(value)[:10])
    if kind == "timestamp":
        found = datetime.fromisoformat(str(value))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return str(value).lower()


def expected(stand, filter):
    return {id for id, record in stand.records.items() if fits(stand, filter, record)}


def fits(stand, filter, record):
    if isinstance(filter, AllOf):
        return all(fits(stand, part, record) for part in filter.parts)
    if isinstance(filter, AnyOf):
        return any(fits(stand, part, record) for part in filter.parts)
    kind = FIELDS[stand.vendor][filter.field]
    has = as_kind(kind, stand.of(record, filter.field))
    wanted = [as_kind(kind, value) for value in filter.values]
    match filter.operator:
        case "is_set":
            return has is not None
        case "is_not_set":
            return has is None
        case "equals" | "in":
            return has is not None and has in wanted
        case "not_equals" | "not_in":
            return has is None or has not in wanted
        case "contains":
            return has is not None and wanted[0] in has
        case "greater_than" | "after":
            return has is not None and has > wanted[0]
        case "less_than" | "before":
            return has is not None and has < wanted[0]
        case "greater_or_equal":
            return has is not None and has >= wanted[0]
    return has is not None and has <= wanted[0]


OPERATORS = {
    "text": ("equals", "not_equals", "in", "not_in", "contains", "is_set", "is_not_set"),
    "number": (
        "equals",
        "not_equals",
        "in",
        "greater_than",
        "less_than",
        "greater_or_equal",
        "less_or_equal",
        "is_set",
    ),
    "boolean": ("equals", "not_equals", "is_set", "is_not_set"),
    "date": ("equals", "not_in", "before", "after", "greater_or_equal", "is_not_set"),
    "timestamp": ("before", "after", "greater_or_equal", "less_or_equal", "is_set"),
}


@st.composite
def conditions(draw, stand):
    name = draw(st.sampled_from(sorted(FIELDS[stand.vendor])))
    kind = FIELDS[stand.vendor][name]
    operator = draw(st.sampled_from(OPERATORS[kind]))
    if operator in ("is_set", "is_not_set"):
        return Condition(name, operator)
    many = operator in ("in", "not_in")
    values = draw(st.lists(values_of(stand, name, kind), min_size=1, max_size=3 if many else 1))
    return Condition(name, operator, tuple(values))


def values_of(stand, name, kind):
    known = st.sampled_from(stand.values[name]) if stand.values[name] else st.nothing()
    if kind == "number":
        return known.map(Decimal) | st.integers(-5, 10**6).map(Decimal)
    if kind == "boolean":
        return st.booleans()
    if kind == "date":
        return known.map(date.fromisoformat) | st.dates(date(2024, 1, 1), date(2028, 1, 1))
    if kind == "timestamp":
        near = known.map(lambda text: as_kind("timestamp", text))
        return near | st.integers(0, 400).map(lambda days: stand.now - timedelta(days=days))
    cased = known.flatmap(lambda text: st.sampled_from([text, text.upper(), text.lower(), text[1:4] or text]))
    return cased | st.sampled_from(HOSTILE)


def filters(stand):
    return st.recursive(
        conditions(stand),
        lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
            lambda parts: st.sampled_from([AllOf(tuple(parts)), AnyOf(tuple(parts))])
        ),
        max_leaves=6,
    )


QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink)
)


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_the_same_records_fit_wherever_a_filter_is_applied(stands, vendor):
    stand = stands[vendor]
    pushed = []

    @QUIET
    @given(filters(stand))
    def check(filter):
        where = resolve(filter, stand.object, stand.schema, stand.now)
        wanted = expected(stand, filter)
        before_load = masks(where, stand.object.shape, {})([msgspec.json.encode(one) for one in stand.records.values()])
        assert {id for id, fit in zip(stand.records, before_load, strict=True) if fit} == wanted
        assert stand.read(where).keys() == wanted
        pushed.append(stand.provider.pushed(stand.object, where) is not None)

    check()
    assert sum(pushed) > len(pushed) / 4, "or it proves little"


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_what_the_vendor_is_said_to_apply_it_counts_rightly(stands, vendor):
    stand = stands[vendor]

    @QUIET
    @given(conditions(stand))
    def check(condition):
        where = resolve(condition, stand.object, stand.schema, stand.now)
        if stand.provider.pushed(stand.object, where) == where:
            counted = stand.session.ask(stand.provider.count(stand.object, where))
            assert counted == len(expected(stand, condition))

    check()


def test_bulk_gives_the_same(stands):
    stand = stands["salesforce"]
    condition = AnyOf((Condition("Department", "not_equals", ("Sales",)), Condition("ARR__c", "less_than", (5,))))
    where = resolve(condition, stand.object, stand.schema, stand.now)
    assert stand.read(where, bulk_above=0).keys() == expected(stand, condition)


def test_a_page_of_a_search_ends_anywhere(stands):
    stand = stands["hubspot"]
    condition = Condition("jobtitle", "is_set")
    where = resolve(condition, stand.object, stand.schema, stand.now)
    wanted = expected(stand, condition)
    for size in (1, len(wanted) - 1, len(wanted), len(wanted) + 1):
        assert stand.read(where, page_size=max(size, 1)).keys() == wanted


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_a_filter_too_large_for_the_vendor_is_applied_in_part(stands, vendor):
    stand = stands[vendor]
    name = FREE_TEXT[vendor]
    many = AllOf(tuple(Condition(name, "not_in", tuple(f"{'long ' * 60}{n} {m}" for m in range(9))) for n in range(9)))
    where = resolve(many, stand.object, stand.schema, stand.now)
    part = stand.provider.pushed(stand.object, where)
    assert part != where
    assert stand.read(where).keys() == expected(stand, many) == stand.records.keys()


def test_what_is_left_of_a_filter_lets_more_through():
    one, two, three = (Condition(name, "is_set") for name in "abc")
    says = {one, two}.__contains__
    assert weakened(AllOf((one, three)), says) == one
    assert weakened(AnyOf((one, three)), says) is None
    assert weakened(AnyOf((one, AllOf((two, three)))), says) == AnyOf((one, two))
    assert weakened(three, says) is None
    assert list(leaves(AllOf((one, AnyOf((two, three)))))) == [one, two, three]
    assert all_of(None, one) == one
