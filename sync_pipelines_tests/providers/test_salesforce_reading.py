"""Salesforce's read flow against a small org, through the real session."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote_plus

import httpx
import pytest

from sync_pipelines.model.errors import ProtocolError, SkipObject, VendorError
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import Conversation
from sync_pipelines_tests.providers.small_org import SmallOrg, once, refused, rest_time, sf_id

SALESFORCE = PROVIDERS["salesforce"]
CONTACT = SALESFORCE.find_object("contact")
TYPES = {
    "Id": "id",
    "LastName": "string",
    "Age__c": "double",
    "Vip__c": "boolean",
    "Birthdate": "date",
    "IsDeleted": "boolean",
    "CreatedDate": "datetime",
    "SystemModstamp": "datetime",
}
SINCE, UNTIL = datetime(2026, 5, 1, 7, 0, tzinfo=UTC), datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


def contact(number, second=0, **fields):
    values = {
        "Id": sf_id(number),
        "LastName": f'O\'Hara "{number}", née\nline two',
        "Age__c": 41.5,
        "Vip__c": number % 2 == 0,
        "Birthdate": "1980-02-29",
        "IsDeleted": number % 5 == 4,
        "CreatedDate": rest_time(0),
        "SystemModstamp": rest_time(second),
    }
    return values | fields


def org_of(count, *, seconds=lambda number: number, **options):
    return SmallOrg([contact(number, seconds(number)) for number in range(count)], types=TYPES, **options)


def fields_of(org):
    return Conversation(SALESFORCE, org).ask(SALESFORCE.describe(CONTACT)).fields


def plan_of(org, **rest):
    return ReadPlan(object=CONTACT, fields=fields_of(org), **rest)


def run(org, plan):
    """(records, pages, notices, conversation)"""
    talk = Conversation(SALESFORCE, org)
    pages, notices = talk.read(SALESFORCE.read(plan))
    return [json.loads(text) for page in pages for text in page.records], pages, notices, talk


def used_bulk(org):
    return bool(org.jobs)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_a_full_read_gives_every_record_once_in_the_order_of_ids_whatever_the_page_edges(count):
    org = org_of(count)
    records, pages, notices, _ = run(org, plan_of(org))
    assert records == org.records
    assert [len(page.records) for page in pages] == [2] * (count // 2) + [1] * (count % 2)
    assert all(page.total == count for page in pages)
    assert notices == []
    assert "/queryAll" in org.addresses[-1] or count > 2


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("incremental", [False, True])
def test_a_read_goes_on_after_any_stored_page_without_loss_or_repetition(count, incremental):
    org = org_of(count, seconds=lambda number: number // 2)
    plan = plan_of(org, since=SINCE if incremental else None, until=UNTIL if incremental else None)
    whole, pages, _, _ = run(org, plan)
    assert whole == org.records
    for stored in range(1, len(pages) + 1):
        rest, _, _, _ = run(org, replace(plan, resume=pages[stored - 1].resume))
        assert rest == whole[sum(len(page.records) for page in pages[:stored]) :]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_records_with_one_timestamp_are_neither_lost_nor_repeated_across_pages(count):
    org = org_of(count, seconds=lambda number: 30)
    org.faults.append(lambda request: refused(400, "INVALID_QUERY_LOCATOR") if "/query/" in request.url.path else None)
    records, _, _, _ = run(org, plan_of(org, since=SINCE, until=UNTIL))
    assert records == org.records


def test_an_incremental_read_asks_for_its_window_only():
    org = org_of(120)
    since, until = SINCE.replace(second=30), SINCE.replace(minute=1)
    records, _, _, _ = run(org, plan_of(org, since=since, until=until))
    assert [record["Id"] for record in records] == [sf_id(number) for number in range(30, 60)]
    assert org.statements[0].endswith(
        "WHERE SystemModstamp >= 2026-05-01T07:00:30.000Z AND SystemModstamp < 2026-05-01T07:01:00.000Z "
        "ORDER BY SystemModstamp, Id"
    )


def test_a_resumed_incremental_read_keeps_its_window():
    org = org_of(4, seconds=lambda number: 30)
    resume = {"modified": rest_time(30), "id": sf_id(1)}
    run(org, plan_of(org, since=SINCE, until=UNTIL, resume=resume))
    assert org.statements[0].endswith(
        "WHERE SystemModstamp >= 2026-05-01T07:00:00.000Z AND SystemModstamp < 2026-05-01T08:00:00.000Z "
        "AND ((SystemModstamp = 2026-05-01T07:00:30.000Z AND Id > '003000000000001AAA') "
        "OR SystemModstamp > 2026-05-01T07:00:30.000Z) ORDER BY SystemModstamp, Id"
    )


@pytest.mark.parametrize("missing", ["SystemModstamp", "LastModifiedDate"])
def test_the_cursor_follows_from_what_the_object_has(missing):
    types = {name: kind for name, kind in TYPES.items() if name != "SystemModstamp"}
    if missing == "SystemModstamp":
        types["LastModifiedDate"] = "datetime"
    org = SmallOrg([contact(1, LastModifiedDate=rest_time(9))], types=types)
    run(org, plan_of(org, since=SINCE, until=UNTIL))
    expected = {"SystemModstamp": "LastModifiedDate", "LastModifiedDate": "CreatedDate"}[missing]
    assert f"ORDER BY {expected}, Id" in org.statements[0]


def test_a_plan_of_few_fields_still_reads_by_the_best_cursor_of_the_object():
    types = {name: kind for name, kind in TYPES.items() if name != "SystemModstamp"} | {"LastModifiedDate": "datetime"}
    org = SmallOrg([contact(1, LastModifiedDate=rest_time(9))], types=types)
    chosen = tuple(field for field in fields_of(org) if field.name in ("Id", "CreatedDate"))
    records, _, _, _ = run(org, ReadPlan(object=CONTACT, fields=chosen, since=SINCE, until=UNTIL))
    assert "ORDER BY LastModifiedDate, Id" in org.statements[0]
    assert list(records[0]) == ["Id", "CreatedDate", "LastModifiedDate"]


def test_an_object_without_any_cursor_is_read_whole():
    org = SmallOrg([contact(1), contact(2)], types={"Id": "id", "LastName": "string"})
    records, _, _, _ = run(org, plan_of(org, since=SINCE, until=UNTIL))
    assert len(records) == 2
    assert org.statements == ["SELECT Id, LastName FROM Contact ORDER BY Id"]


def test_bulk_gives_the_same_records_as_rest():
    rare = contact(2, LastName="NA", Age__c=None, Birthdate=None)
    texts = contact(3, LastName="null", Vip__c=True)
    org = SmallOrg([contact(0), contact(1), rare, texts, contact(4)], types=TYPES)
    by_rest, _, _, _ = run(org, plan_of(org))
    by_bulk, pages, notices, talk = run(org, plan_of(org, bulk_above=4))
    assert by_bulk == by_rest == org.records
    assert notices == []
    assert [page.resume["locator"] for page in pages] == ["3", "null"]
    assert talk.slept[0] == pytest.approx(0.2)
    assert org.jobs["7500"]["operation"] == "queryAll"


def test_bulk_and_rest_spell_a_record_with_the_same_keys_in_the_same_order():
    org = org_of(3)
    _, rest, _, _ = run(org, plan_of(org))
    _, bulk, _, _ = run(org, plan_of(org, bulk_above=0))
    assert [list(json.loads(text)) for page in rest for text in page.records] == [
        list(json.loads(text)) for page in bulk for text in page.records
    ]


def test_a_bulk_read_goes_on_after_any_stored_page():
    org = org_of(7)
    whole, pages, _, _ = run(org, plan_of(org, bulk_above=3))
    assert len(pages) == 3
    for stored in range(1, 4):
        plan = plan_of(org, bulk_above=3, resume=pages[stored - 1].resume)
        rest, _, _, _ = run(org, plan)
        assert rest == whole[stored * 3 :]
    assert len(org.jobs) == 1


def test_a_vanished_bulk_job_starts_the_read_again():
    org = org_of(7)
    org.faults.append(lambda request: refused(404, "NOT_FOUND") if "/lost/" in request.url.path else None)
    plan = plan_of(org, bulk_above=3, resume={"job": "lost", "locator": "5"})
    records, _, notices, _ = run(org, plan)
    assert records == org.records
    assert used_bulk(org)
    assert notices == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda request: refused(400, "LIMIT_EXCEEDED") if request.method == "POST" else None,
        lambda request: refused(400, "INVALIDENTITY") if request.method == "POST" else None,
        lambda request: refused(403, "FUNCTIONALITY_NOT_ENABLED") if request.method == "POST" else None,
        lambda request: (
            httpx.Response(200, json={"id": "7500", "state": "Failed", "errorMessage": "too complex"})
            if request.url.path.endswith("/7500")
            else None
        ),
        lambda request: (
            httpx.Response(200, json={"id": "7500", "state": "Aborted"}) if request.url.path.endswith("/7500") else None
        ),
        lambda request: refused(404, "NOT_FOUND") if request.url.path.endswith("/results") else None,
    ],
)
@pytest.mark.parametrize("incremental", [False, True])
def test_where_bulk_cannot_do_it_rest_does_and_a_notice_says_so(fault, incremental):
    org = org_of(5)
    org.faults.append(fault)
    window = {"since": SINCE, "until": UNTIL} if incremental else {}
    records, _, notices, _ = run(org, plan_of(org, bulk_above=3, **window))
    assert records == org.records
    assert len(notices) == 1
    assert "REST" in notices[0].message


def test_a_large_increment_switches_to_bulk_without_an_extra_call():
    org = org_of(5)
    records, _, _, _ = run(org, plan_of(org, since=SINCE, until=UNTIL, bulk_above=4))
    assert records == org.records
    assert used_bulk(org)
    assert not any("COUNT" in address for address in org.addresses)
    assert "WHERE SystemModstamp >=" in org.statements[-1]
    assert "ORDER BY" not in org.statements[-1]


def test_a_limited_read_stops_early_and_counts_nothing():
    org = org_of(9)
    records, _, _, _ = run(org, plan_of(org, limit=3))
    assert records == org.records[:3]
    assert not any("COUNT" in address for address in org.addresses)


def test_an_expired_locator_goes_on_from_the_last_record():
    org = org_of(5)
    org.faults.append(once(refused(400, "INVALID_QUERY_LOCATOR"), lambda request: "/query/" in request.url.path))
    records, pages, _, _ = run(org, plan_of(org))
    assert records == org.records
    assert [page.total for page in pages] == [5, 5, 5]
    assert "WHERE Id > '003000000000001AAA'" in org.statements[1]


@pytest.mark.parametrize("bulk_above", [2000, 2])
@pytest.mark.parametrize("incremental", [False, True])
def test_a_field_that_vanished_since_describe_is_dropped_with_a_notice(bulk_above, incremental):
    org = org_of(5)
    plan = plan_of(org, bulk_above=bulk_above, **({"since": SINCE, "until": UNTIL} if incremental else {}))
    del org.types["Age__c"]
    if bulk_above == 2:
        message = "No such column 'Age__c' on entity"
        answer = refused(400, "INVALID_FIELD", message)
        org.faults.append(lambda request: answer if b"Age__c" in request.content else None)
    records, _, notices, _ = run(org, plan)
    assert [record["Id"] for record in records] == [record["Id"] for record in org.records]
    assert all("Age__c" not in record for record in records)
    assert notices[0].field == "Age__c"
    assert len(notices) == 1


def test_a_refusal_in_another_language_is_understood_by_describing_again():
    org = org_of(2)
    plan = plan_of(org)
    del org.types["Vip__c"]
    german = refused(400, "INVALID_FIELD", "Keine solche Spalte")
    org.faults.append(
        lambda request: german if "queryAll" in request.url.path and "Vip__c" in request.url.params["q"] else None
    )
    records, _, notices, _ = run(org, plan)
    assert len(records) == 2
    assert [notice.field for notice in notices] == ["Vip__c"]


def test_a_refused_field_that_nobody_can_name_ends_the_read():
    org = org_of(2)
    plan = plan_of(org)
    org.faults.append(
        lambda request: refused(400, "INVALID_FIELD") if "SELECT Id" in request.url.params.get("q", "") else None
    )
    with pytest.raises(ProtocolError, match="does not say which"):
        run(org, plan)


def test_a_repeated_page_is_an_error():
    org = org_of(6)
    talk = Conversation(SALESFORCE, org)
    org.more = lambda name: SmallOrg.more(org, name.partition("-")[0] + "-0")
    with pytest.raises(ProtocolError, match="same page token"):
        talk.read(SALESFORCE.read(plan_of(org)))


@pytest.mark.parametrize("incremental", [False, True])
def test_a_select_too_long_for_a_url_comes_in_parts_joined_by_id(incremental):
    names = [f"A_rather_long_name_of_a_custom_field_{number:03d}__c" for number in range(700)]
    types = TYPES | dict.fromkeys(names, "string")
    org = SmallOrg([contact(n, n, **{name: f"{n}-{name}" for name in names}) for n in range(5)], types=types, page=3)
    window = {"since": SINCE, "until": UNTIL} if incremental else {}
    records, _, notices, _ = run(org, plan_of(org, **window))
    assert records == org.records
    assert notices == []
    assert max(map(len, org.addresses)) < 16_000
    by_bulk, _, _, _ = run(org, plan_of(org, bulk_above=1, **window))
    assert by_bulk == records


def test_a_record_purged_between_two_parts_is_left_out_with_a_notice():
    names = [f"A_rather_long_name_of_a_custom_field_{number:03d}__c" for number in range(500)]
    types = TYPES | dict.fromkeys(names, "string")
    org = SmallOrg([contact(n, n, **dict.fromkeys(names, "x")) for n in range(3)], types=types, page=3)
    plan = plan_of(org)
    org.faults.append(lambda request: purge(org) if " Id IN " in unquote_plus(str(request.url)) else None)
    records, pages, notices, _ = run(org, plan)
    assert [record["Id"] for record in records] == [sf_id(0), sf_id(2)]
    assert "1 records" in notices[0].message
    assert pages[0].total == 2
    assert pages[0].resume == {"after_id": sf_id(2)}


def purge(org):
    org.records = [record for record in org.records if record["Id"] != sf_id(1)]


def test_a_field_whose_name_would_break_the_query_is_left_out_with_a_notice():
    org = org_of(2)
    plan = plan_of(org)
    hostile = replace(plan.fields[1], name="x FROM User --")
    records, _, notices, _ = run(org, replace(plan, fields=(*plan.fields, hostile)))
    assert records == org.records
    assert notices[0].field == "x FROM User --"


def test_short_ids_become_long_ones_and_a_record_without_id_stays_for_the_engine_to_reject():
    short = contact(1)
    short["Id"] = "0035e00000abCdE"
    answer = {
        "totalSize": 2,
        "done": True,
        "records": [{"attributes": {"type": "Contact"}, **short}, {"LastName": "x"}],
    }
    talk = Conversation(SALESFORCE, lambda request: httpx.Response(200, json=answer))
    plan = ReadPlan(object=CONTACT, fields=(), limit=5)
    pages, _ = talk.read(SALESFORCE.read(plan))
    first, second = (json.loads(text) for text in pages[0].records)
    assert first["Id"] == "0035e00000abCdEAQU"[:15] + first["Id"][15:]
    assert len(first["Id"]) == 18
    assert second == {"LastName": "x"}
    assert pages[0].resume == {"after_id": first["Id"]}


def csv_read(body, headers=None, fields=()):
    def org(request):
        if request.method == "POST":
            return httpx.Response(200, json={"id": "7501", "state": "JobComplete"})
        if request.url.path.endswith("/results"):
            return httpx.Response(200, content=body, headers={"content-type": "text/csv"} | (headers or {}))
        return httpx.Response(200, json={"totalSize": 9, "done": True, "records": []})

    plan = ReadPlan(object=CONTACT, fields=fields, bulk_above=1)
    pages, _ = Conversation(SALESFORCE, org).read(SALESFORCE.read(plan))
    return [json.loads(text) for page in pages for text in page.records]


def test_csv_with_nul_bytes_quotes_newlines_and_other_scripts_is_read_as_it_is_meant():
    body = 'Id,Name\n"1","a\x00b ""q"", \r\nnext\u2028line \U0001f600"\n"2",\n'.encode()
    assert csv_read(body) == [
        {"Id": "1", "Name": 'a\x00b "q", \r\nnext\u2028line \U0001f600'},
        {"Id": "2", "Name": None},
    ]


def test_numbers_are_taken_verbatim_and_what_is_no_number_stays_a_text():
    org = SmallOrg([], types={"N__c": "currency", "B__c": "boolean", "D__c": "datetime"})
    body = b"N__c,B__c,D__c\n12345678901234567890.10,true,2026-05-01T07:25:37.000Z\n12 apples,perhaps,soon\n"
    body += b"007,,\n-1.5E3,,\n"
    rows = csv_read(body, fields=fields_of(org))
    assert rows[0] == {"N__c": 12345678901234567890.10, "B__c": True, "D__c": "2026-05-01T07:25:37.000+0000"}
    assert rows[1] == {"N__c": "12 apples", "B__c": "perhaps", "D__c": "soon"}
    assert [row["N__c"] for row in rows[2:]] == ["007", -1500.0]


def test_a_very_long_text_is_no_trouble():
    text = "x" * 400_000
    assert csv_read(f'Id,Name\n"1","{text}"\n'.encode())[0]["Name"] == text


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'Id,Name\n"1","cut of', {}),
        (b"Id,Name\n1\n", {}),
        (b"Id,Name\n1,a,b\n", {}),
        (b"Id,Name\n1,a\n", {"Sforce-NumberOfRecords": "2"}),
    ],
)
def test_broken_csv_is_an_error_and_never_a_shorter_read(body, headers):
    with pytest.raises(VendorError):
        csv_read(body, headers)


def test_pages_are_smaller_for_wider_objects():
    asked = []

    def org(request):
        if request.url.path.endswith("/results"):
            asked.append(int(request.url.params["maxRecords"]))
            return httpx.Response(200, content=b"Id\n", headers={"content-type": "text/csv"})
        return httpx.Response(
            200, json={"id": "1", "state": "JobComplete", "totalSize": 9, "done": True, "records": []}
        )

    for width in (10, 49, 499):
        fields = tuple(replace(field, name=f"F{n}") for n, field in enumerate(fields_of(org_of(1))[:1] * width))
        Conversation(SALESFORCE, org).read(SALESFORCE.read(ReadPlan(object=CONTACT, fields=fields, bulk_above=1)))
    assert asked == [10_000, 10_000, 1_000]


def test_lone_surrogates_and_nul_cost_no_page():
    name = b"a\\ud800b\x00 \\ud83d\\ude00 \\\\ud800"
    body = b'{"totalSize":1,"done":true,"records":[{"Id":"003000000000001AAA","Name":"%b"}]}' % name
    talk = Conversation(
        SALESFORCE, lambda request: httpx.Response(200, content=body, headers={"content-type": "application/json"})
    )
    pages, _ = talk.read(SALESFORCE.read(ReadPlan(object=CONTACT, fields=(), limit=5)))
    name = json.loads(pages[0].records[0])["Name"]
    assert name == "a\ufffd\x00b\x00 \U0001f600 \\ud800"


def test_an_object_that_the_org_does_not_have_is_skipped():
    talk = Conversation(SALESFORCE, lambda request: refused(404, "NOT_FOUND", "The requested resource does not exist"))
    with pytest.raises(SkipObject, match="Nothing__c: check its API name"):
        talk.ask(SALESFORCE.describe(SALESFORCE.find_object("Nothing__c")))


def test_pages_and_notices_are_all_that_a_read_yields():
    org = org_of(3)
    talk = Conversation(SALESFORCE, org)
    assert {type(step) for step in talk.session.read(SALESFORCE.read(plan_of(org)))} <= {Page, Notice}
