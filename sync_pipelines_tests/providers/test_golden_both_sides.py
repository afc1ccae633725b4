from datetime import datetime

import pytest

from sync_pipelines.http_client import pace
from sync_pipelines.model.errors import ProtocolError, Reauthorize, SkipObject, VendorError, Wait
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers.hubspot import hubspot
from sync_pipelines.sandbox.clock import parse
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.providers.golden.foreign import BEFORE_ALL, EPOCH, our_records, our_session

CUSTOMERS = {"salesforce": "acme-robotics", "hubspot": "lumen-bakery"}
SIZES = {
    "acme-robotics": {"User": 3, "Account": 9, "Contact": 30},
    "lumen-bakery": {"owners": 5, "companies": 20, "contacts": 120, "deals": 15},
}


@pytest.fixture(scope="module")
def sandbox():
    with serve(Recipe(seed=3, sizes=SIZES, epoch=parse(EPOCH))) as control:
        yield control


@pytest.fixture
def control(sandbox):
    sandbox.clear_faults()
    yield sandbox
    sandbox.clear_faults()


def ask(session, vendor):
    declared = PROVIDERS[vendor]
    return session.ask(declared.describe(declared.find_object("contact")))


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_both_sides_know_whose_account_it_is(control, vendor):
    account = control.account(CUSTOMERS[vendor])
    with our_session(account) as session:
        assert session.ask(PROVIDERS[vendor].identify()).id[:15] == account.account_id[:15]


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_an_expired_token_is_refreshed_once_and_the_read_goes_on(control, vendor):
    account = control.account(CUSTOMERS[vendor])
    control.expire_tokens(account.id)
    with our_session(account) as session:
        assert ask(session, vendor).fields
        assert session.calls == 3
        assert ask(session, vendor).fields
        assert session.calls == 4


@pytest.mark.parametrize("vendor", CUSTOMERS)
def test_a_withdrawn_refresh_token_asks_for_the_customer(control, vendor):
    account = control.account(CUSTOMERS[vendor])
    control.expire_tokens(account.id)
    control.fault(account.id, "refresh_refused", times=1, path="/token")
    with our_session(account) as session, pytest.raises(Reauthorize):
        ask(session, vendor)


@pytest.mark.parametrize("name", ["contacts", "companies", "deals", "owners"])
@pytest.mark.parametrize("since", [None, datetime.fromisoformat(BEFORE_ALL)], ids=["full", "incremental"])
def test_both_path_families_of_hubspot_give_the_same_records(control, name, since):
    account = control.account(CUSTOMERS["hubspot"])
    control.new_tokens(account.id)
    dated = our_records(account, name, hubspot("2026-03"), since=since)
    assert dated == our_records(account, name, since=since)
    assert any("/2026-03" in call["path"] for call in control.calls(account.id))


@pytest.mark.parametrize(
    ("vendor", "fault", "options", "error"),
    [
        ("salesforce", "rate_limit", {}, Wait),
        ("salesforce", "missing_scope", {}, SkipObject),
        ("salesforce", "status", {"status": 503}, VendorError),
        ("salesforce", "html", {"status": 200}, VendorError),
        ("hubspot", "rate_limit", {}, Wait),
        ("hubspot", "rate_limit", {"policy": "DAILY"}, Wait),
        ("hubspot", "missing_scope", {}, SkipObject),
        ("hubspot", "status", {"status": 502}, VendorError),
        ("hubspot", "status", {"status": 423}, VendorError),
        ("hubspot", "status", {"status": 477}, VendorError),
        ("hubspot", "html", {"status": 200}, VendorError),
    ],
)
def test_a_refusal_of_the_stand_in_is_the_error_that_the_design_names(control, vendor, fault, options, error):
    account = control.account(CUSTOMERS[vendor])
    fresh = control.new_tokens(account.id)["access_token"]
    control.fault(account.id, fault, times=1, **options)
    with our_session(account, access=fresh, attempts=1) as session, pytest.raises(error):
        ask(session, vendor)
    pace._paces.clear()
    with our_session(account, access=fresh, attempts=1) as session:
        assert ask(session, vendor).fields, "and the next call goes through, when the time has come for it"


def test_a_search_beyond_ten_thousand_is_our_mistake(control):
    account = control.account(CUSTOMERS["hubspot"])
    fresh = control.new_tokens(account.id)["access_token"]
    control.fault(account.id, "status", status=400, path="/search", times=1)
    with our_session(account, access=fresh, attempts=1) as session, pytest.raises(ProtocolError):
        session.ask(PROVIDERS["hubspot"].count(PROVIDERS["hubspot"].find_object("contacts")))
