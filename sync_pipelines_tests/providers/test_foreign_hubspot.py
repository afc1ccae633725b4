from datetime import datetime, timedelta
from functools import cache

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.contacts import ApiException, PublicObjectSearchRequest

from sync_pipelines.sandbox.clock import parse
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.providers.golden.foreign import BEFORE_ALL, EPOCH, our_records, our_schema

LIST_PAGE, SEARCH_PAGE = 100, 200
LISTED = {
    "contacts": LIST_PAGE - 1,
    "companies": LIST_PAGE,
    "deals": LIST_PAGE + 1,
    "tickets": 2 * LIST_PAGE + 1,
    "owners": LIST_PAGE + 1,
}
SEARCHED = {
    "contacts": SEARCH_PAGE - 1,
    "companies": SEARCH_PAGE,
    "deals": SEARCH_PAGE + 1,
    "tickets": 2 * SEARCH_PAGE + 1,
}
"""Living records of each object: around the vendor's page sizes."""
LISTING, SEARCHING, CHANGING = "lumen-bakery", "harbor-fitness", "quill-media"


@pytest.fixture(scope="module")
def control():
    sizes = {
        LISTING: {name: wanted + 40 for name, wanted in LISTED.items()} | {"p4410101_car": 12},
        SEARCHING: {name: wanted + 40 for name, wanted in SEARCHED.items()},
        CHANGING: {"owners": 5, "companies": 20, "contacts": 60},
    }
    with serve(Recipe(seed=9, sizes=sizes, epoch=parse(EPOCH))) as control:
        for customer, objects in ((LISTING, LISTED), (SEARCHING, SEARCHED)):
            for name, wanted in objects.items():
                cut_down(control, customer, name, wanted)
        yield control


def cut_down(control, customer, name, wanted):
    """Archive and purge records until exactly `wanted` live."""
    living = [record["id"] for record in control.truth(customer, name) if not record["deleted"]]
    for place, one in enumerate(living[wanted:]):
        control.record(customer, name, operation="delete" if place < 3 else "purge", id=one)


@pytest.fixture(scope="module")
def listing(control):
    return control.account(LISTING)


@pytest.fixture(scope="module")
def searching(control):
    return control.account(SEARCHING)


@pytest.fixture(scope="module")
def ours(listing):
    """object -> everything as our provider lists it, read once."""
    return cache(lambda name: our_records(listing, name))


def client_for(account):
    return HubSpot.create(access_token=account.access_token, host=account.api_url)


@pytest.fixture
def foreign(listing):
    return client_for(listing)


def crm(client, name):
    """The SDK's module for an object: named ones have their own, the others share one."""
    return getattr(client.crm, name, None) or client.crm.objects


def pages(client, name, **rest):
    """get_page until there is no further page."""
    typed = {} if hasattr(client.crm, name) else {"object_type": name}
    after, found = None, []
    while True:
        page = crm(client, name).basic_api.get_page(
            **typed, limit=LIST_PAGE, **({"after": after} if after else {}), **rest
        )
        found += page.results
        assert len(page.results) <= LIST_PAGE
        if page.paging is None:
            return found
        after = page.paging.next.after


def seen(record):
    """An SDK record in our words."""
    return {
        "id": record.id,
        "properties": record.properties,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "archived": record.archived,
        "archivedAt": record.archived_at,
    }


def told(record):
    """Our record with its times read, as the SDK reads them."""
    times = {
        name: record.get(name) and datetime.fromisoformat(record[name])
        for name in ("createdAt", "updatedAt", "archivedAt")
    }
    return {name: record[name] for name in ("id", "properties", "archived")} | times


def by_id(records):
    found = {record["id"]: record for record in records}
    assert len(found) == len(records), "read twice"
    return found


@pytest.mark.parametrize("name", ["contacts", "companies", "deals", "tickets", "p4410101_car"])
def test_the_sdk_knows_the_properties_that_we_describe(foreign, listing, name):
    theirs = foreign.crm.properties.core_api.get_all(name).results
    assert [(field.name, field.label, field.vendor_type) for field in our_schema(listing, name).fields] == [
        (known.name, known.label, known.type) for known in theirs
    ]


@pytest.mark.parametrize("name", ["contacts", "companies", "deals", "tickets", "p4410101_car"])
def test_get_page_reads_the_records_that_we_list(foreign, listing, ours, name):
    properties = [field.name for field in our_schema(listing, name).fields]
    living = pages(foreign, name, properties=properties, archived=False)
    gone = pages(foreign, name, properties=properties, archived=True)
    if name in LISTED:
        assert len(living) == LISTED[name]
        assert gone
    theirs = by_id([seen(record) for record in [*living, *gone]])
    assert theirs == {one: told(record) for one, record in ours(name).items()}


@pytest.mark.parametrize("name", ["contacts", "companies", "deals"])
def test_get_all_reads_the_same_ids(foreign, ours, name):
    theirs = {record.id for record in crm(foreign, name).get_all()}
    assert theirs == {one for one, record in ours(name).items() if not record["archived"]}


@pytest.mark.parametrize("name", SEARCHED)
def test_search_finds_the_records_that_we_read_as_changed(searching, name):
    client = client_for(searching)
    properties = [field.name for field in our_schema(searching, name).fields]
    theirs, after = [], "0"
    while after is not None:
        wish = PublicObjectSearchRequest(
            filter_groups=[], sorts=["hs_object_id"], properties=properties, limit=SEARCH_PAGE, after=after
        )
        typed = () if hasattr(client.crm, name) else (name,)
        page = crm(client, name).search_api.do_search(*typed, public_object_search_request=wish)
        theirs += page.results
        after = page.paging.next.after if page.paging else None
    assert len(theirs) == page.total == SEARCHED[name]
    read = our_records(searching, name, since=datetime.fromisoformat(BEFORE_ALL))
    living = {one: told(record) for one, record in read.items() if not record["archived"]}
    assert living == by_id([seen(record) for record in theirs])


@pytest.mark.parametrize("name", SEARCHED)
def test_what_we_read_as_changed_since_the_beginning_is_what_we_list(searching, name):
    assert our_records(searching, name, since=datetime.fromisoformat(BEFORE_ALL)) == our_records(searching, name)


@pytest.mark.parametrize("name", ["contacts", "deals"])
def test_the_associations_api_tells_the_companies_that_we_read(foreign, ours, name):
    living = {one: record for one, record in ours(name).items() if not record["archived"]}
    theirs = companies_by_batch(foreign, name, list(living))
    assert {one: record["associations"]["companies"] for one, record in living.items()} == {
        one: theirs.get(one, []) for one in living
    }
    assert max(map(len, theirs.values())) > 1


def companies_by_batch(client, name, ids):
    """{record: company ids}, the primary one (type id 1 or 5) first, the others by number."""
    primary = {"contacts": 1, "deals": 5}[name]
    found, waiting = {}, [{"id": one} for one in ids]
    while waiting:
        batch, waiting = waiting[:LIST_PAGE], waiting[LIST_PAGE:]
        answer = client.crm.associations.v4.batch_api.get_page(
            name, "companies", BatchInputPublicFetchAssociationsBatchRequest(inputs=batch)
        )
        for result in answer.results:
            one = result._from.id
            for to in result.to:
                is_primary = any(kind.type_id == primary for kind in to.association_types)
                found.setdefault(one, []).append((not is_primary, int(to.to_object_id)))
            if result.paging is not None:
                waiting.append({"id": one, "after": result.paging.next.after})
    return {one: [str(company) for _, company in sorted(companies)] for one, companies in found.items()}


def test_the_sdk_reads_the_owners_that_we_read(foreign, ours):
    theirs = []
    for archived in (False, True):
        after = None
        while True:
            page = foreign.crm.owners.owners_api.get_page(
                limit=LIST_PAGE, archived=archived, **({"after": after} if after else {})
            )
            theirs += page.results
            if page.paging is None:
                break
            after = page.paging.next.after
    assert len([owner for owner in theirs if not owner.archived]) == LISTED["owners"]
    assert {owner.id: (owner.email, owner.first_name, owner.last_name, owner.archived) for owner in theirs} == {
        one: (record.get("email"), record.get("firstName"), record.get("lastName"), record["archived"])
        for one, record in ours("owners").items()
    }


def test_the_sdk_reads_the_pipelines_that_we_look_up(foreign, listing):
    theirs = foreign.crm.pipelines.pipelines_api.get_all("deals").results
    lookups = our_schema(listing, "deals").lookups
    assert lookups["pipelines"] == {pipeline.id: pipeline.label for pipeline in theirs}
    assert lookups["stages"] == {stage.id: stage.label for pipeline in theirs for stage in pipeline.stages}


def test_an_archived_contact_moves_from_one_list_to_the_other_for_both_clients(control):
    account, client = control.account(CHANGING), client_for(control.account(CHANGING))
    now = control.now()
    one = client.crm.contacts.basic_api.get_page(limit=1).results[0].id
    client.crm.contacts.basic_api.archive(one)
    read = our_records(account, "contacts", since=now - timedelta(minutes=1))
    assert read[one]["archived"]
    assert one in {record.id for record in client.crm.contacts.get_all(archived=True)}
    assert one not in {record.id for record in client.crm.contacts.get_all()}


def test_the_sdk_understands_the_refusals(foreign):
    beyond = PublicObjectSearchRequest(filter_groups=[], sorts=[], properties=[], limit=SEARCH_PAGE, after="10000")
    with pytest.raises(ApiException) as refused:
        foreign.crm.contacts.search_api.do_search(public_object_search_request=beyond)
    assert refused.value.status == 400
    with pytest.raises(ApiException) as refused:
        HubSpot.create(access_token="nobody", host=foreign.config["host"]).crm.contacts.basic_api.get_page()
    assert refused.value.status == 401
