import csv
import io
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest

from sync_pipelines.sandbox.clock import parse
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.providers.golden.foreign import BEFORE_ALL, EPOCH, our_records, our_schema

CUSTOMER = "acme-robotics"
PAGE = 2000
REST = 10**9
"""A threshold for Bulk that nothing reaches."""
EDGES = {"Contact": PAGE - 1, "Account": PAGE, "Lead": PAGE + 1, "Opportunity": 2 * PAGE + 1}
"""Records of each object, deleted and merged ones included: around the vendor's page size."""
OTHERS = {"User": 14, "Employee__c": 30, "EmailMessage": 25}
CHANGING = "brightwater-clinics"
"""Where tests change records; the other account stands still, so that it is read once for all tests."""


class PlainHttp(HTTPAdapter):
    """simple-salesforce knows only https and hosts without a path; the sandbox speaks http below one."""

    def __init__(self, host, api_url):
        super().__init__()
        self.host = host
        self.api_url = api_url

    def send(self, request, **rest):
        request.url = request.url.replace(f"https://{self.host}", self.api_url, 1)
        return super().send(request, **rest)


@pytest.fixture(scope="module")
def control():
    sizes = {CUSTOMER: EDGES | OTHERS, CHANGING: {"User": 3, "Account": 10, "Contact": 420, "Clinic__c": 30}}
    with serve(Recipe(seed=5, sizes=sizes, epoch=parse(EPOCH), customers=2)) as control:
        yield control


@pytest.fixture(scope="module")
def account(control):
    return control.account(CUSTOMER)


@pytest.fixture(scope="module")
def changing(control):
    return control.account(CHANGING)


@pytest.fixture(scope="module")
def ours(account):
    """(object, by Bulk?) -> our records, read once."""
    return cache(lambda name, bulk=False: our_records(account, name, bulk_above=1 if bulk else REST))


@contextmanager
def simple_salesforce(account):
    host = urlsplit(account.api_url).netloc
    with requests.Session() as session:
        session.trust_env = False
        session.mount(f"https://{host}", PlainHttp(host, account.api_url))
        yield Salesforce(
            instance_url=f"https://{host}", session_id=account.access_token, session=session, version="67.0"
        )


@pytest.fixture
def foreign(account):
    with simple_salesforce(account) as client:
        yield client


@pytest.fixture
def foreign_on_changing(changing):
    with simple_salesforce(changing) as client:
        yield client


def plain(record):
    return {name: value for name, value in record.items() if name != "attributes"}


@pytest.mark.parametrize("name", [*EDGES, *OTHERS])
def test_simple_salesforce_describes_the_fields_that_we_describe(foreign, account, name):
    theirs = getattr(foreign, name).describe()["fields"]
    ours = our_schema(account, name).fields
    selectable = [field for field in theirs if field["type"] not in ("address", "location", "base64")]
    assert [(field.name, field.label, field.vendor_type, field.custom) for field in ours] == [
        (field["name"], field["label"], field["type"], field["custom"]) for field in selectable
    ]


@pytest.mark.parametrize("name", [*EDGES, *OTHERS])
def test_query_all_iter_reads_the_records_that_we_read_by_rest(foreign, account, ours, name):
    names = ", ".join(field.name for field in our_schema(account, name).fields)
    theirs = [plain(record) for record in foreign.query_all_iter(f"SELECT {names} FROM {name}", include_deleted=True)]
    assert len(theirs) == {**EDGES, **OTHERS}[name]
    assert {record["Id"]: record for record in theirs} == ours(name)


@pytest.mark.parametrize("name", EDGES)
def test_what_we_read_as_changed_since_the_beginning_is_everything(account, ours, name):
    assert our_records(account, name, since=datetime.fromisoformat(BEFORE_ALL), bulk_above=REST) == ours(name)


@pytest.mark.parametrize(
    ("name", "max_records"), [*((name, PAGE) for name in EDGES), ("Contact", 700), ("Employee__c", 7)]
)
def test_a_bulk_download_holds_the_records_that_we_read_by_bulk(foreign, account, ours, name, max_records, monkeypatch):
    monkeypatch.setattr("simple_salesforce.bulk2.sleep", lambda seconds: None)
    names = [field.name for field in our_schema(account, name).fields]
    pages = getattr(foreign.bulk2, name).query_all(
        f"SELECT {', '.join(names)} FROM {name}", max_records=max_records, wait=0
    )
    theirs = {row["Id"]: row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))}
    assert len(theirs) == {**EDGES, **OTHERS}[name]
    read = ours(name, bulk=True)
    assert read.keys() == theirs.keys()
    for one, cells in theirs.items():
        assert {field: as_cell(value, cells[field]) for field, value in read[one].items()} == cells


def as_cell(value, cell):
    """How a CSV cell writes what our JSON says; numbers by value, since they may be spelled in several ways.

    simple-salesforce takes the NUL bytes out of a download.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return cell if float(cell) == value else str(value)
    return (value.replace("+0000", "Z") if value.endswith(".000+0000") else value).replace("\x00", "")


@pytest.mark.parametrize("name", EDGES)
def test_bulk_and_rest_give_the_same_record(ours, name):
    assert ours(name, bulk=True) == ours(name)


def test_only_the_living_are_counted_and_queried(foreign, control, ours):
    deleted = {record["id"] for record in control.truth(CUSTOMER, "Contact") if record["deleted"]}
    assert deleted
    assert {one for one, record in ours("Contact").items() if record["IsDeleted"]} == deleted
    living = {record["Id"] for record in foreign.query_all_iter("SELECT Id FROM Contact")}
    assert living == ours("Contact").keys() - deleted
    assert foreign.query("SELECT COUNT() FROM Contact")["totalSize"] == len(living)


def test_the_replication_call_names_the_records_that_we_read_as_deleted(foreign_on_changing, control, changing):
    now = control.now()
    gone = control.change(CHANGING, "Clinic__c", deleted=3)["deleted"]
    told = foreign_on_changing.Clinic__c.deleted(now - timedelta(minutes=1), now + timedelta(hours=1))
    assert {record["id"] for record in told["deletedRecords"]} == set(gone)
    read = our_records(changing, "Clinic__c", since=now - timedelta(seconds=1), bulk_above=REST)
    assert {one for one, record in read.items() if record["IsDeleted"]} == set(gone)


def test_a_merged_contact_names_its_survivor_to_both_clients(foreign_on_changing, control, changing):
    now = control.now()
    assert control.change(CHANGING, "Contact", merged=1)["merged"]
    read = our_records(changing, "Contact", since=now - timedelta(seconds=1), bulk_above=REST)
    losers = {one: record["MasterRecordId"] for one, record in read.items() if record["MasterRecordId"]}
    asked = "SELECT Id, MasterRecordId FROM Contact WHERE MasterRecordId != null"
    found = foreign_on_changing.query_all_iter(asked, include_deleted=True)
    assert len(losers) == 1
    assert losers.items() <= {record["Id"]: record["MasterRecordId"] for record in found}.items()


def test_simple_salesforce_reads_limits_and_usage(foreign):
    assert foreign.limits()["DailyApiRequests"]["Max"] > 0
    assert foreign.api_usage["api-usage"].used > 0


def test_simple_salesforce_understands_the_refusals(foreign):
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        foreign.query("SELECT Id, Vanished__c FROM Contact")
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_TYPE"):
        foreign.query("SELECT Id FROM Unicorn__c")
