"""What a vendor answers badly, end to end.

The sick customer's run says what to do and leaves its rows as they were, the other customer of the same call is synced,
and once the vendor is well again the next run ends equal to the truth.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest

from sync_pipelines.http_client import pace
from sync_pipelines.http_client.wire import Wire
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, HARBOR, KESTREL, LUMEN, QUILL

CUSTOMERS = {"salesforce": (ACME, BRIGHTWATER), "hubspot": (LUMEN, HARBOR)}
CONTACTS = {"salesforce": "Contact", "hubspot": "contacts"}
COMPANIES = {"salesforce": "Account", "hubspot": "companies"}
READING = r"/query(All)?[/?]|/jobs/query|GET .*/objects/\w+\?|/search"
"""Calls that bring records, whichever the vendor."""

ANY = r"^\w+ /(?!.*token)"
"""Every call but those to the token endpoint."""

every_vendor = pytest.mark.parametrize("vendor", CUSTOMERS)


class Story:
    """Two customers of one vendor in one sync: the first falls sick, the second stays well."""

    def __init__(self, place, vendor, **sync):
        self.place, self.vendor = place, vendor
        self.sick, self.well = CUSTOMERS[vendor]
        self.contacts = CONTACTS[vendor]
        place.write_sync(provider=vendor, **sync)
        place.connect(self.sick, self.well)
        assert [run.status for run in place.sync()] == ["success", "success"]

    def change(self):
        for customer in (self.sick, self.well):
            self.place.control.change(customer, self.contacts, updated=5, created=4, deleted=3)

    def fault(self, **fault):
        self.place.control.fault(self.sick, **fault)

    def sync(self, **options):
        """Both run; the well one must get through. The sick one's run."""
        runs = {run.customer_id: run for run in self.place.sync(**options)}
        assert runs[self.well].status == "success"
        assert self.place.differences(self.well) == []
        return runs[self.sick]

    def rows(self):
        return self.place.content("crm_contact", self.sick)

    def recovers(self, **options):
        """The vendor is well again, and time has passed."""
        self.place.control.clear_faults()
        pace._paces.clear()
        self.place.holds_end()
        run = self.place.sync_one(self.sick, **options)
        assert (run.status, run.error_message) == ("success", "")
        assert self.place.differences(self.sick) == []
        return run


def fresh_tokens(place, customer):
    tokens = place.control.new_tokens(customer)
    account = place.control.account(customer)
    place.project.store.connections.connect(
        customer_id=customer,
        provider=account.vendor,
        environment=account.environment,
        tokens=Tokens(access_token=Secret(tokens["access_token"]), refresh_token=Secret(tokens["refresh_token"])),
        api_url=account.api_url,
    )


# name: (fault, status, error type, words of the message)
LASTING = {
    "500": ({"name": "status", "status": 500}, "error", "vendor_error", "tried again"),
    "503 without a body": ({"name": "status", "status": 503, "empty": True}, "error", "vendor_error", "tried again"),
    "a web page for data": ({"name": "html"}, "error", "vendor_error", "web page"),
    "a web page of a proxy": ({"name": "html", "status": 502}, "error", "vendor_error", "web page"),
    "JSON cut in the middle": ({"name": "cut_json"}, "error", "network", "cut off; it will be tried again"),
    "a body shorter than promised": ({"name": "truncated"}, "error", "network", "tried again"),
    "a line that is reset": ({"name": "reset"}, "error", "network", "could not be reached"),
    "a rate limit": ({"name": "rate_limit"}, "error", "rate_limit", "goes on"),
    "400": ({"name": "status", "status": 400}, "error", "vendor_error", "refuses the request"),
    "401 whatever the token": ({"name": "token_expired"}, "error", "auth_expired", "must connect again"),
    "403": ({"name": "missing_scope"}, "skipped", "not_found", "not let this connection read"),
    "404": ({"name": "status", "status": 404}, "skipped", "not_found", "check"),
}


@pytest.mark.parametrize("path", [ANY, READING], ids=["from the first call on", "while reading"])
@pytest.mark.parametrize("trouble", LASTING)
@every_vendor
def test_what_lasts_ends_the_run_with_what_to_do_and_touches_nothing(unhurried, vendor, trouble, path):
    fault, status, error_type, words = LASTING[trouble]
    story = Story(unhurried, vendor)
    before = story.rows()
    story.change()
    story.fault(**fault, path=path)
    if (vendor, trouble, path) == ("hubspot", "400", ANY):
        # That is how this vendor says that it does not know an object.
        status, error_type, words = "skipped", "not_found", "check its name"
    run = story.sync()
    assert (run.status, run.error_type, run.retry_at) == (status, error_type, None)
    assert words in run.error_message
    assert run.counts.changed == 0
    assert story.rows() == before
    assert unhurried.project.store.runs.last("crm", "contact", story.sick) == run
    if error_type == "auth_expired":
        fresh_tokens(unhurried, story.sick)
    story.recovers()


@pytest.mark.parametrize("trouble", [name for name, (_, status, *_) in LASTING.items() if status == "error"])
@every_vendor
def test_a_first_read_that_breaks_off_keeps_whole_pages_and_goes_on_from_there(unhurried, vendor, trouble):
    sick = CUSTOMERS[vendor][0]
    unhurried.options["chunk_rows"] = 10
    unhurried.write_sync(provider=vendor)
    unhurried.connect(sick)
    fault, _, error_type, _ = LASTING[trouble]
    unhurried.control.fault(sick, "short_pages", size=20)
    unhurried.control.fault(sick, **fault, path=READING, after=4)
    first = unhurried.sync_one(sick)
    assert (first.status, first.error_type) == ("error", error_type)
    kept = unhurried.rows("crm_contact")
    assert 0 < len(kept) == first.counts.created < len(list(unhurried.control.truth(sick, CONTACTS[vendor])))
    assert all(text.endswith("is missing") for text in unhurried.differences(sick)), "no row is half written"
    unhurried.control.clear_faults()
    if error_type == "auth_expired":
        fresh_tokens(unhurried, sick)
    second = unhurried.sync_one(sick)
    assert (second.status, second.full, second.counts.updated) == ("success", True, 0)
    assert second.counts.read < len(unhurried.rows("crm_contact")), "what was stored is not read again"
    assert unhurried.differences(sick) == []


@every_vendor
def test_a_rate_limit_with_a_time_comes_back_then_and_leaves_the_account_alone_until_then(unhurried, vendor):
    story = Story(unhurried, vendor)
    before = story.rows()
    story.change()
    story.fault(name="rate_limit", retry_after=1800)
    run = story.sync()
    assert (run.status, run.error_type) == ("error", "rate_limit")
    assert timedelta(minutes=29) < run.retry_at - datetime.now(UTC) <= timedelta(minutes=30)
    assert max(unhurried.slept, default=0) < 130, "a thread does not sleep through it"
    again = unhurried.sync_one(story.sick)
    assert (again.error_type, again.vendor_calls) == ("rate_limit", 0)
    assert abs(again.retry_at - run.retry_at) < timedelta(seconds=5)
    assert story.rows() == before
    story.recovers()


@every_vendor
def test_a_short_rate_limit_is_waited_for(unhurried, vendor):
    story = Story(unhurried, vendor)
    story.change()
    story.fault(name="rate_limit", retry_after=20, times=1)
    assert story.sync().status == "success"
    assert any(19 < seconds <= 20 for seconds in unhurried.slept)
    assert unhurried.differences(story.sick) == []


def test_a_used_up_daily_quota_is_a_rate_limit_with_a_time(unhurried):
    story = Story(unhurried, "salesforce")
    before = story.rows()
    story.change()
    unhurried.control.settings(ACME, daily_limit=1000, daily_used=1000)
    run = story.sync()
    assert (run.status, run.error_type, run.quota) == ("error", "rate_limit", {"used": 1000, "allowed": 1000})
    assert "request limit is used up" in run.error_message
    assert timedelta(minutes=30) < run.retry_at - datetime.now(UTC) <= timedelta(hours=1)
    assert run.vendor_calls == 1, "asking again at once would only use up more"
    assert story.rows() == before
    unhurried.control.settings(ACME, daily_limit=100_000)
    story.recovers()


def test_a_missing_scope_is_named(unhurried):
    story = Story(unhurried, "hubspot")
    story.fault(name="missing_scope", scope="crm.objects.contacts.read")
    run = story.sync()
    assert "add the scopes crm.objects.contacts.read and connect again" in run.error_message


@every_vendor
def test_an_access_token_that_ended_is_renewed_and_the_rotated_one_is_kept(unhurried, vendor):
    story = Story(unhurried, vendor)
    unhurried.control.settings(story.sick, rotate_refresh_tokens=True)
    for _ in range(2):
        story.change()
        unhurried.control.expire_tokens(story.sick)
        assert story.sync().status == "success"
        assert unhurried.differences(story.sick) == []


@pytest.mark.parametrize("how", ["revoked", "refused"])
@every_vendor
def test_withdrawn_access_expires_the_connection_until_the_customer_reconnects(unhurried, vendor, how):
    story = Story(unhurried, vendor)
    before = story.rows()
    story.change()
    if how == "revoked":
        unhurried.control.revoke_tokens(story.sick)
    else:
        unhurried.control.expire_tokens(story.sick)
        story.fault(name="refresh_refused")
    run = story.sync()
    assert (run.status, run.error_type) == ("error", "auth_expired")
    assert "the customer must connect again" in run.error_message
    connection = unhurried.project.store.connections.get(story.sick, vendor)
    assert (connection.status, connection.status_reason) == ("expired", run.error_message)
    assert story.rows() == before

    later = story.sync()
    assert (later.status, later.error_type, later.vendor_calls) == ("skipped", "auth_expired", 0)
    assert "the customer must reconnect" in later.error_message
    expired = [entry for entry in unhurried.project.store.audit.list() if entry.action == "expire"]
    assert len(expired) == 1, "told once"

    fresh_tokens(unhurried, story.sick)
    assert unhurried.project.store.connections.get(story.sick, vendor).status == "connected"
    story.recovers()


@every_vendor
def test_a_fresh_token_that_is_refused_too_expires_the_connection(unhurried, vendor):
    story = Story(unhurried, vendor)
    story.fault(name="token_expired", path=ANY)
    assert story.sync().error_type == "auth_expired"
    assert unhurried.project.store.connections.get(story.sick, vendor).status == "expired"


@every_vendor
def test_a_wrong_client_secret_is_ours_to_mend_and_expires_nobody(unhurried, vendor):
    story = Story(unhurried, vendor)
    before = story.rows()
    story.change()
    unhurried.control.expire_tokens(story.sick)
    right = unhurried.environ["CLIENT_SECRET"]
    unhurried.environ["CLIENT_SECRET"] = "not-the-secret-at-all"
    unhurried.open()
    run = story.sync()
    assert (run.status, run.error_type) == ("error", "configuration")
    assert "client id" in run.error_message
    assert "not-the-secret-at-all" not in run.error_message
    assert unhurried.project.store.connections.get(story.sick, vendor).status == "connected"
    assert story.rows() == before
    unhurried.environ["CLIENT_SECRET"] = right
    unhurried.open()
    story.recovers()


@pytest.mark.parametrize(("vendor", "unknown"), [("salesforce", "Nonsense__c"), ("hubspot", "p4410101_nonsense")])
def test_an_object_that_the_account_does_not_have_is_skipped_by_its_name(unhurried, vendor, unknown):
    sick = CUSTOMERS[vendor][0]
    unhurried.write_sync(provider=vendor, objects=["contact", unknown])
    unhurried.connect(sick)
    run = unhurried.sync_one(sick, object_name=unknown)
    assert (run.status, run.error_type) == ("skipped", "not_found")
    assert unknown in run.error_message
    assert "check" in run.error_message
    assert unhurried.sync_one(sick, object_name="contact").status == "success"


@pytest.mark.parametrize("strategy", ["full", "incremental"])
@every_vendor
def test_a_repeated_page_token_ends_the_run_and_never_loops(unhurried, vendor, strategy):
    story = Story(unhurried, vendor)
    before = story.rows()
    unhurried.control.ties(story.sick, story.contacts, 45)
    story.fault(name="short_pages", size=20)
    story.fault(name="repeated_page_token")
    run = story.sync(full=strategy == "full")
    if (vendor, strategy) == ("hubspot", "incremental"):
        # Every page of a search is a new question from the last id on, so there is no token to repeat.
        assert run.status == "success"
    else:
        assert (run.status, run.error_type) == ("error", "vendor_error")
        assert "same page token twice" in run.error_message
        assert "Run the sync again" in run.error_message
        assert story.rows() == before
    assert run.vendor_calls < 15
    story.recovers()


@pytest.mark.parametrize("way", ["list", "bulk", "incremental"])
@every_vendor
def test_a_record_without_an_id_is_rejected_with_its_reason_and_the_others_are_written(unhurried, vendor, way):
    story = Story(unhurried, vendor, bulk_above=0 if way == "bulk" else 2000)
    story.change()
    story.fault(name="record_without_id")
    run = story.sync(full=way != "incremental")
    assert run.status == "success"
    assert run.counts.rejected >= 1
    assert run.counts.read > run.counts.rejected
    for rejection in run.rejections:
        assert "no id" in rejection.reason
        assert rejection.record.startswith("{")
    assert len(run.rejections) == run.counts.rejected
    stored = unhurried.project.store.runs.last("crm", "contact", story.sick)
    assert (stored.rejections, stored.counts.rejected) == (run.rejections, run.counts.rejected)
    story.recovers(full=True)


@every_vendor
def test_a_record_that_lost_its_id_for_once_is_not_taken_for_deleted(unhurried, vendor):
    story = Story(unhurried, vendor, mode="mirror")
    before = story.rows()
    gone = before[-1]["id"]
    unhurried.control.record(story.sick, story.contacts, operation="purge", id=gone)
    story.fault(name="record_without_id")
    run = story.sync(full=True)
    assert (run.status, run.counts.deleted) == ("success", 0)
    assert any("nothing was deleted" in notice for notice in run.notices)
    assert story.rows() == before
    unhurried.control.clear_faults()
    assert unhurried.sync_one(story.sick, full=True).counts.deleted == 1
    assert story.rows() == before[:-1]


@pytest.mark.parametrize("way", ["list", "incremental"])
@every_vendor
def test_two_records_with_one_id_in_a_page_are_one_row(unhurried, vendor, way):
    story = Story(unhurried, vendor)
    story.change()
    story.fault(name="duplicate_id")
    run = story.sync(full=way == "list")
    assert run.status == "success"
    assert unhurried.differences(story.sick) == []
    assert run.counts.read == run.counts.changed + run.counts.unchanged
    story.recovers(full=True)


@pytest.mark.parametrize("newest", ["first", "last"])
@every_vendor
def test_of_two_versions_in_a_page_the_newest_wins_wherever_it_stands(unhurried, tampered, vendor, newest):
    story = Story(unhurried, vendor)
    truth = next(entry for entry in unhurried.control.truth(story.sick, story.contacts) if not entry["deleted"])
    name = {"salesforce": "LastName", "hubspot": "lastname"}[vendor]
    old, new = b"2031-01-01T00:00:00.000", b"2031-01-01T00:00:01.000"

    def double(body):
        record = next(part for part in records_in(body) if truth["id"].encode() in part)
        stamp = re.search(rb'"(?:SystemModstamp|updatedAt)":"([^"+Z]+)', record)[1]
        value = re.search(rb'"%s":("[^"]*")' % name.encode(), record)[1]
        versions = [
            record.replace(stamp, at).replace(b'"%s":%s' % (name.encode(), value), b'"%s":"%s"' % (name.encode(), word))
            for at, word in ((old, b"Old"), (new, b"New"))
        ]
        return body.replace(record, b",".join(versions if newest == "last" else versions[::-1]))

    tampered(READING, lambda body: double(body) if truth["id"].encode() in body else body)
    run = unhurried.sync_one(story.sick, full=True)
    assert run.status == "success"
    (row,) = [row for row in story.rows() if row["id"] == truth["id"]]
    assert row["last_name"] == "New"


@pytest.mark.parametrize("way", ["list", "bulk", "incremental"])
@every_vendor
def test_a_nul_and_half_a_surrogate_pair_cost_neither_the_page_nor_the_row(unhurried, vendor, way):
    story = Story(unhurried, vendor, bulk_above=0 if way == "bulk" else 2000)
    field, column = {"salesforce": ("LastName", "last_name"), "hubspot": ("lastname", "last_name")}[vendor]
    story.change()
    story.fault(name="surrogates", field=field)
    run = story.sync(full=way != "incremental")
    assert (run.status, run.counts.rejected) == ("success", 0)
    scarred = [row for row in story.rows() if row["_sync_errors"] and "raw_data" in row["_sync_errors"]]
    assert scarred
    assert run.counts.invalid >= len(scarred)
    truth = {entry["id"]: entry["fields"][field] for entry in unhurried.control.truth(story.sick, story.contacts)}
    for row in scarred:
        assert row[column] == "\ufffd" + truth[row["id"]]
        assert "replaced" in row["_sync_errors"]["raw_data"]["reason"]
    story.recovers(full=True)
    assert not [row for row in story.rows() if row["_sync_errors"]]


NUMBERS = {
    "1234.50": "1234.5",
    " 7 ": "7",
    "1e3": "1000",
    "-0.001": "-0.001",
    "": None,
    "12 000 EUR": "is not a plain number",
    "1.234,56": "is not a plain number",
    "about 5": "is not a plain number",
    "١٢": "is not a plain number",
    "NaN": "is not a plain number",
}
DATES = {
    "2026-03-04": "2026-03-04",
    "2026-03-04T23:30:00-05:00": "2026-03-05",
    "1772582400000": "2026-03-04",
    "20260304": "2026-03-04",
    "": None,
    "03/04/2026": "is not an ISO 8601 date",
    "4 March 2026": "is not an ISO 8601 date",
    "04.03.2026": "is not an ISO 8601 date",
    "2026-02-30": "is not an ISO 8601 date",
    "soon": "is not an ISO 8601 date",
}


@pytest.mark.parametrize(
    ("customer", "vendor", "fields"),
    [
        (KESTREL, "salesforce", {"annual_revenue": "Revenue_Text__c", "renewal_date": "Segment__c"}),
        (QUILL, "hubspot", {"annual_revenue": "rev_text", "renewal_date": "renewal_text"}),
    ],
)
def test_numbers_with_text_inside_and_dates_in_many_formats(unhurried, customer, vendor, fields):
    unhurried.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    unhurried.connect(customer)
    unhurried.map(customer, vendor, "account", **fields)
    companies = [entry["id"] for entry in unhurried.control.truth(customer, COMPANIES[vendor]) if not entry["deleted"]]
    written = {}
    for column, spellings in (("annual_revenue", NUMBERS), ("renewal_date", DATES)):
        for id, (text, meant) in zip(companies, spellings.items(), strict=False):
            written[id, column] = text, meant
            unhurried.control.record(customer, COMPANIES[vendor], id=id, fields={fields[column]: text})
    run = unhurried.sync_one(customer)
    assert (run.status, run.counts.rejected) == ("success", 0)
    assert unhurried.differences(customer) == []
    rows = {row["id"]: row for row in unhurried.rows("crm_account")}
    for (id, column), (text, meant) in written.items():
        error = (rows[id]["_sync_errors"] or {}).get(column)
        if meant is None or re.fullmatch(r"[-0-9.]+", meant):
            assert error is None
            read = {"annual_revenue": Decimal, "renewal_date": date.fromisoformat}[column]
            assert rows[id][column] == (None if meant is None else read(meant))
        else:
            assert rows[id][column] is None
            assert (error["field"], error["value"]) == (fields[column], text)
            assert meant in error["reason"]


@pytest.mark.parametrize(
    ("customer", "vendor", "field", "text"),
    [(ACME, "salesforce", "ARR__c", "string"), (LUMEN, "hubspot", "arr", "string")],
)
def test_a_field_that_changes_its_type_keeps_every_row_and_comes_back(unhurried, customer, vendor, field, text):
    unhurried.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    (account,) = unhurried.connect(customer)
    unhurried.map(customer, vendor, "account", **account.meanings[COMPANIES[vendor]])
    companies = COMPANIES[vendor]
    before = {entry["id"]: entry["fields"][field] for entry in unhurried.control.truth(customer, companies)}
    odd = unhurried.sync_one(customer).counts.invalid
    amount = {row["id"]: row["annual_revenue"] for row in unhurried.rows("crm_account")}
    id = next(id for id, value in before.items() if value)

    unhurried.control.fault(customer, "field_type_changed", object=companies, field=field, type="string", text=True)
    unhurried.control.record(customer, companies, id=id, fields={field: "about 5 million"})
    unhurried.control.clock(advance=2)
    run = unhurried.sync_one(customer, full=True)
    assert (run.status, run.counts.rejected, run.counts.invalid) == ("success", 0, odd + 1)
    rows = {row["id"]: row for row in unhurried.rows("crm_account")}
    assert rows[id]["annual_revenue"] is None
    kept = rows[id]["_sync_errors"]["annual_revenue"]
    assert (kept["field"], kept["value"]) == (field, "about 5 million")
    assert {other: row["annual_revenue"] for other, row in rows.items() if other != id} == {
        other: value for other, value in amount.items() if other != id
    }, "a number that is written as a text is still that number"

    kind = "currency" if vendor == "salesforce" else "number"
    unhurried.control.fault(customer, "field_type_changed", object=companies, field=field, type=kind)
    unhurried.control.record(customer, companies, id=id, fields={field: before[id]})
    unhurried.control.clock(advance=2)
    assert unhurried.sync_one(customer).status == "success"
    rows = {row["id"]: row for row in unhurried.rows("crm_account")}
    assert (rows[id]["annual_revenue"], rows[id]["_sync_errors"]) == (amount[id], None)
    assert unhurried.differences(customer) == []


@pytest.mark.parametrize(("customer", "vendor", "field"), [(ACME, "salesforce", "Tier__c"), (LUMEN, "hubspot", "tier")])
def test_a_field_that_vanished_and_came_back_is_read_again_as_a_whole(unhurried, customer, vendor, field):
    unhurried.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    (account,) = unhurried.connect(customer)
    unhurried.map(customer, vendor, "account", **account.meanings[COMPANIES[vendor]])
    unhurried.control.clock(advance=3600)
    unhurried.sync_one(customer)
    # Some vendors tell what was deleted in every read.
    tiers = {row["id"]: row["tier"] for row in unhurried.rows("crm_account") if not row["is_deleted"]}
    companies = COMPANIES[vendor]

    unhurried.control.fault(customer, "field_vanished", object=companies, field=field)
    unhurried.control.clock(advance=3600)
    changed = unhurried.control.change(customer, companies, updated=2)["updated"]
    run = unhurried.sync_one(customer)
    assert (run.status, run.full) == ("success", False)
    assert any(field in notice and "Map another field" in notice for notice in run.notices)
    now = {row["id"]: row["tier"] for row in unhurried.rows("crm_account")}
    assert {id for id in tiers if now[id] != tiers[id]} <= set(changed)
    assert all(now[id] is None for id in changed)

    unhurried.control.fault(customer, "field_added", object=companies, field=field, value="gold again")
    run = unhurried.sync_one(customer)
    assert (run.status, run.full) == ("success", True)
    assert [notice for notice in run.notices if "is new" not in notice] == []
    assert f"The fields of account changed: {field} (string) is new." in run.notices
    assert {row["tier"] for row in unhurried.rows("crm_account")} == {"gold again"}
    assert unhurried.differences(customer) == []
    assert unhurried.sync_one(customer).full is False


@pytest.mark.parametrize("where", ["describe", "data"])
@pytest.mark.parametrize(("customer", "vendor", "field"), [(ACME, "salesforce", "Tier__c"), (LUMEN, "hubspot", "tier")])
def test_a_description_that_does_not_agree_with_the_records_loses_no_record(unhurried, customer, vendor, field, where):
    unhurried.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    unhurried.connect(customer)
    unhurried.map(customer, vendor, "account", tier=field)
    unhurried.control.fault(customer, "field_vanished", object=COMPANIES[vendor], field=field, where=where)
    run = unhurried.sync_one(customer)
    assert run.status == "success"
    rows = unhurried.rows("crm_account")
    assert [row["id"] for row in rows] == [
        entry["id"] for entry in unhurried.control.truth(customer, COMPANIES[vendor])
    ]
    assert {row["tier"] for row in rows} == {None}


@pytest.mark.parametrize(("customer", "vendor"), [(ACME, "salesforce"), (LUMEN, "hubspot")])
def test_a_mapped_field_that_does_not_exist_is_a_notice(unhurried, customer, vendor):
    unhurried.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    (account,) = unhurried.connect(customer)
    meanings = account.meanings[COMPANIES[vendor]] | {"tier": "No_Such_Field__c"}
    unhurried.map(customer, vendor, "account", **meanings)
    run = unhurried.sync_one(customer)
    assert (run.status, run.counts.rejected) == ("success", 0)
    (notice,) = run.notices
    assert "No_Such_Field__c" in notice
    assert "Map another field or give back the permission" in notice
    assert {row["tier"] for row in unhurried.rows("crm_account")} == {None}
    assert unhurried.differences(customer) == []
    assert unhurried.sync_one(customer).full is False


def test_a_required_field_that_nobody_mapped_is_told_with_the_command_that_maps_it(unhurried):
    schema = {"version": 1, "fields": [{"name": "tier", "required": True}]}
    unhurried.write_sync(objects=[{"object": "account", "custom_schema": schema}])
    unhurried.connect(ACME, BRIGHTWATER)
    unhurried.map(BRIGHTWATER, "salesforce", "account", tier="Customer_Tier__c")
    runs = {run.customer_id: run for run in unhurried.sync()}
    assert (runs[ACME].status, runs[ACME].error_type) == ("error", "configuration")
    assert "sync-pipelines mapping set CUSTOMER salesforce account tier=VENDOR_FIELD" in runs[ACME].error_message
    assert runs[BRIGHTWATER].status == "success"


def records_in(body):
    """The JSON texts of a page's records, whichever the vendor."""
    page = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    lists = (page[name] for name in ("records", "results") if name in page)
    return [bytes(text) for found in lists for text in msgspec.json.decode(found, type=list[msgspec.Raw])]


@pytest.fixture
def tampered(monkeypatch):
    """Bodies of answers to calls whose "METHOD /path?query" fits an expression pass through a function on their way."""
    usual = Wire.handle_request
    rules = []

    def handle(transport, request):
        response = usual(transport, request)
        line = f"{request.method} {request.extensions.get('target', request.url.raw_path).decode()}"
        fitting = [change for pattern, change in rules if re.search(pattern, line)]
        if not fitting:
            return response
        body = response.read()
        response.close()
        for change in fitting:
            body = change(body)
        headers = [(name, value) for name, value in response.headers.multi_items() if name != "content-length"]
        return httpx.Response(response.status_code, headers=headers, content=body)

    monkeypatch.setattr(Wire, "handle_request", handle)
    return lambda pattern, change: rules.append((pattern, change))
