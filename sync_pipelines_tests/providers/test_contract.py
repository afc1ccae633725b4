"""The contract of every provider: read over real HTTP from the sandbox, compared record by record with its truth.

A new provider joins by one line in STANDS. Each behaviour is crossed with the page's edges: accounts hold one record
less than a page, a page, one more, and two pages and one.
"""

import importlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sync_pipelines.engine.mapping import at_path
from sync_pipelines.http_client import VendorSession, pace
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.errors import Retry, Wait
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.sandbox.customers import DEMO, customers
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.http_client.scripted import StoredTokens

EDGES = {"size-1": (1, -1), "size": (1, 0), "size+1": (1, 1), "2*size+1": (2, 1)}
OWN = "its own object"


@dataclass(frozen=True)
class Stand:
    """`page`: the smallest page that the vendor grants. `bulk_rows`: module and name of its bulk way's page, if any."""

    page: int
    bulk_rows: tuple[str, str] | None = None


STANDS = {
    "salesforce": Stand(200, bulk_rows=("sync_pipelines.providers.salesforce.bulk", "MOST_ROWS")),
    "hubspot": Stand(10),
}


def sizes_of(provider):
    return {edge: STANDS[provider].page * times + more for edge, (times, more) in EDGES.items()}


def invented():
    """{(provider, edge): customer} of which every object holds as many records as the edge says."""
    found = {}
    for customer in customers(len(EDGES) * len(DEMO)):
        free = [edge for edge in EDGES if (customer.vendor, edge) not in found]
        if free:
            found[customer.vendor, free[0]] = customer
    return found


CUSTOMERS = invented()


def objects_of(provider):
    """Names that all accounts of the vendor share, and one word for the custom object that each has for itself."""
    named = [set(customer.objects()) for (vendor, _), customer in CUSTOMERS.items() if vendor == provider]
    return [*sorted(set.intersection(*named)), OWN]


EVERY_OBJECT = [(provider, name) for provider in PROVIDERS for name in objects_of(provider)]
BULK_OBJECTS = [(provider, name) for provider, name in EVERY_OBJECT if STANDS[provider].bulk_rows]
every_provider = pytest.mark.parametrize("provider", PROVIDERS)
every_object = pytest.mark.parametrize(("provider", "name"), EVERY_OBJECT)
every_edge = pytest.mark.parametrize("edge", EDGES)


@pytest.fixture(scope="module")
def world():
    sizes = {
        customer.id: dict.fromkeys(customer.objects(), sizes_of(provider)[edge])
        for (provider, edge), customer in CUSTOMERS.items()
    }
    with serve(Recipe(seed=7, sizes=sizes, customers=len(EDGES) * len(DEMO))) as control:
        yield control


@pytest.fixture
def open_reader(world, monkeypatch):
    """Opens an account's object. Nothing is remembered from test to test but the records, which fill their pages."""
    world.clear_faults()
    monkeypatch.setattr(pace, "_paces", OrderedDict())
    opened = []

    def make(provider, edge, name="contact"):
        stand = STANDS[provider]
        if stand.bulk_rows:
            module, constant = stand.bulk_rows
            monkeypatch.setattr(importlib.import_module(module), constant, stand.page)
        reader = Reader(world, provider, edge, name)
        opened.append(reader)
        return reader

    yield make
    for reader in opened:
        reader.close()


class Reader:
    """One object of one account, read by our machinery. `slept` are the seconds it would have waited."""

    def __init__(self, control, provider, edge, name):
        self.control = control
        self.provider = PROVIDERS[provider]
        self.page, self.size = STANDS[provider].page, sizes_of(provider)[edge]
        customer = CUSTOMERS[provider, edge]
        self.account = control.account(customer.id)
        self.tokens = control.new_tokens(customer.id)
        control.settings(customer.id, rotate_refresh_tokens=False)
        own = next(reversed(customer.objects()))
        self.object = self.provider.find_object(own if name == OWN else name)
        self.slept = []
        self.sessions = []
        self.fill_to_the_edge()
        self.session()
        self.describe()

    def fill_to_the_edge(self):
        """As many live records as the edge says and no deleted ones, which some vendors page apart."""
        deleted = [id for id, entry in self.truth().items() if entry["deleted"]]
        for id in deleted:
            self.control.record(self.account.id, self.object.name, operation="purge", id=id)
        if deleted:
            self.changed(created=len(deleted))

    def session(self):
        """A new conversation, as another process would begin one."""
        account = self.account
        session = VendorSession(
            self.provider,
            Connection(
                id=len(self.sessions),
                customer_id=account.id,
                provider=self.provider.name,
                login_url=account.login_url,
                api_url=account.api_url,
            ),
            StoredTokens(self.tokens["access_token"], self.tokens["refresh_token"]),
            OAuthClient(client_id=account.client_id, client_secret=Secret(account.client_secret)),
            sleep=self.slept.append,
        )
        self.sessions.append(session)
        return session

    def close(self):
        for session in self.sessions:
            session.close()

    def describe(self):
        self.schema = self.ask(self.provider.describe(self.object))

    def ask(self, flow):
        return self.sessions[-1].ask(flow)

    def later(self):
        """A minute goes by. The time then, in whole seconds, as some vendors keep their stamps."""
        return self.control.clock(advance=60).replace(microsecond=0)

    def until_now(self):
        return self.control.now() + timedelta(seconds=1)

    def plan(self, **rest):
        page = {"page_size": self.page} | rest
        # Out of reach unless a test asks for the bulk way.
        return ReadPlan(object=self.object, fields=self.schema.fields, **({"bulk_above": 10_000} | page))

    def read(self, after_page=lambda number: None, **plan):
        """(pages, notices) of a whole read. `after_page` is called with each page's number, first with 0."""
        pages, notices = [], []
        after_page(0)
        for step in self.sessions[-1].read(self.provider.read(self.plan(**plan))):
            if isinstance(step, Notice):
                notices.append(step)
                continue
            assert isinstance(step, Page)
            pages.append(step)
            after_page(len(pages))
        return pages, notices

    def changed(self, **amounts):
        """The seeded change a minute later; (the time between, what was changed)."""
        between = self.later()
        return between, self.control.change(self.account.id, self.object.name, **amounts)

    def truth(self):
        return {entry["id"]: entry for entry in self.control.truth(self.account.id, self.object.name)}

    def id_of(self, record):
        return str(at_path(msgspec.json.decode(record), self.object.shape.id))

    def ids(self, pages):
        return [self.id_of(record) for page in pages for record in page.records]


def wrong(reader, pages, ids=None, without=()):
    """Sentences about what was read and is not so: every record of `ids` (all) once, with its values."""
    truth = reader.truth()
    expected = set(truth) if ids is None else set(ids)
    counts = Counter(reader.ids(pages))
    yield from (f"{id} is missing" for id in expected - counts.keys())
    yield from (f"{id} was not to be read" for id in counts.keys() - expected)
    yield from (f"{id} came {times} times" for id, times in counts.items() if times > 1)
    for page in pages:
        for text in page.records:
            record = msgspec.json.decode(text)
            if (entry := truth.get(reader.id_of(text))) is not None:
                yield from wrong_values(reader, record, entry, without)


def wrong_values(reader, record, entry, without):
    shape = reader.object.shape
    fields = at_path(record, shape.fields)
    for name in (field.name for field in reader.schema.fields):
        # What the account's own list of fields holds and the truth does not is the record's envelope.
        if name in without or name not in entry["fields"] or gone_with_the_owner(entry, name):
            continue
        if normal(fields.get(name)) != normal(entry["fields"][name]):
            yield f"{entry['id']}: {name} is {fields.get(name)!r} and should be {entry['fields'][name]!r}"
    for path, known in ((shape.created, entry["created"]), (shape.modified, entry["modified"])):
        if path is not None and moment(at_path(record, path)) != moment(known):
            yield f"{entry['id']}: {path} is {at_path(record, path)!r} and should be {known!r}"
    if shape.deleted is not None and at_path(record, shape.deleted) is not entry["deleted"]:
        yield f"{entry['id']}: {shape.deleted} should be {entry['deleted']}"


def gone_with_the_owner(entry, name):
    """HubSpot tells no user of an owner that was deactivated."""
    return entry["deleted"] and name == "userId"


def normal(value):
    """A bulk answer cannot tell an empty text from none."""
    return None if value == "" else value


def moment(text):
    return datetime.fromisoformat(text)


def records_of(pages):
    return [record for page in pages for record in page.records]


def canonical(record):
    """The record's text with its keys in order."""
    return msgspec.json.encode(msgspec.json.decode(record), order="sorted")


def goes_on_after_any_page(reader, pages, ids=None, **how):
    """As another process does that finds a stored page's token: what it had and what it reads are all, once."""
    for number in resumable(pages):
        reader.session()
        rest, notices = reader.read(resume=stored(pages[number - 1].resume), **how)
        assert list(wrong(reader, [*pages[:number], *rest], ids)) == []
        assert notices == []


def resumable(pages):
    """Numbers of pages after which a checkpoint can be stored and there is more to come."""
    return [number for number, page in enumerate(pages, 1) if page.resume is not None]


def stored(token):
    """The token as a checkpoint keeps it: through JSON and back."""
    return msgspec.json.decode(msgspec.json.encode(token))


def edges_are_met(reader, pages, records):
    """The pages are as large as was asked for: otherwise no edge was tested."""
    assert max(len(page.records) for page in pages) == min(records, reader.page)


@every_edge
@every_object
def test_a_full_read_brings_every_record_once_with_its_values_and_goes_on_after_any_page(
    open_reader, provider, name, edge
):
    reader = open_reader(provider, edge, name)
    pages, notices = reader.read()
    assert list(wrong(reader, pages)) == []
    assert notices == []
    edges_are_met(reader, pages, reader.size)
    goes_on_after_any_page(reader, pages)


@every_object
def test_the_vendor_counts_what_lives_and_what_changed(open_reader, provider, name):
    reader = open_reader(provider, "2*size+1", name)

    def counted():
        return reader.ask(reader.provider.count(reader.object))

    def changed(since):
        return reader.ask(reader.provider.changed(reader.object, since))

    assert counted() == reader.size
    since, _ = reader.changed(updated=2)
    told = reader.object.cursor_field is not None
    assert (counted(), changed(since)) == (reader.size, 2 if told else None)
    later, gone = reader.changed(deleted=4)
    # Who cannot be deleted is deactivated, and counts on.
    deleted = len(gone["deleted"]) if reader.object.shape.deleted else 0
    lately = len(gone["deleted"]) if told else None
    assert (counted(), changed(later)) == (reader.size - deleted, lately)


@every_edge
@pytest.mark.parametrize(("provider", "name"), BULK_OBJECTS)
def test_the_bulk_way_gives_the_very_same_records(open_reader, provider, name, edge):
    reader = open_reader(provider, edge, name)
    usual, _ = reader.read()
    pages, notices = reader.read(bulk_above=0)
    assert list(wrong(reader, pages)) == []
    assert notices == []
    edges_are_met(reader, pages, reader.size)
    assert sorted(map(canonical, records_of(pages))) == sorted(map(canonical, records_of(usual)))
    goes_on_after_any_page(reader, pages, bulk_above=0)


@every_edge
@every_object
def test_an_incremental_read_brings_just_what_changed(open_reader, provider, name, edge):
    reader = open_reader(provider, edge, name)
    since, changed = reader.changed(updated=reader.size - 1)
    pages, _ = reader.read(since=since, until=reader.until_now())
    # An object without a cursor is always read as a whole.
    expected = changed["updated"] if reader.object.cursor_field else None
    assert list(wrong(reader, pages, expected)) == []


@every_edge
@every_provider
def test_nothing_changed_is_nothing_read(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    since = reader.later()
    pages, _ = reader.read(since=since, until=since + timedelta(seconds=1))
    assert reader.ids(pages) == []


@every_edge
@every_provider
def test_changes_that_fill_their_pages_to_the_edge_all_come_also_after_any_page(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    since, changed = reader.changed(updated=reader.size)
    window = {"since": since, "until": reader.until_now()}
    pages, _ = reader.read(**window)
    assert list(wrong(reader, pages, changed["updated"])) == []
    edges_are_met(reader, pages, reader.size)
    goes_on_after_any_page(reader, pages, changed["updated"], **window)


@every_edge
@every_provider
def test_records_of_one_stamp_all_come_once_and_also_after_any_page(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    since = reader.later()
    ids = reader.control.ties(reader.account.id, reader.object.name, reader.size)
    assert len({entry["modified"] for entry in reader.truth().values()}) == 1
    window = {"since": since, "until": reader.until_now()}
    pages, _ = reader.read(**window)
    assert list(wrong(reader, pages, ids)) == []
    edges_are_met(reader, pages, reader.size)
    goes_on_after_any_page(reader, pages, ids, **window)


@every_edge
@every_provider
def test_a_late_commit_is_inside_the_next_overlap(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    stamped = reader.later()
    ids = sorted(reader.truth())
    late = {ids[0], ids[len(ids) // 2], ids[-1]}
    visible = stamped + timedelta(seconds=40)
    for id in late:
        reader.control.record(
            reader.account.id, reader.object.name, id=id, fields={}, modified=stamped, visible=visible
        )
    read_until = reader.control.clock(advance=20)
    reader.control.ties(reader.account.id, reader.object.name, 1, modified=stamped)
    early, _ = reader.read(since=stamped, until=read_until)
    assert reader.ids(early) == ids[:1]
    reader.control.clock(advance=60)
    window = {"since": read_until - reader.provider.overlap, "until": reader.until_now()}
    pages, _ = reader.read(**window)
    assert late <= set(reader.ids(pages))
    assert not [text for text in wrong(reader, pages) if not text.endswith("is missing")]


@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("strategy", ["full", "incremental"])
@every_edge
@every_provider
def test_deleted_records_come_as_deleted(open_reader, provider, edge, strategy, share):
    reader = open_reader(provider, edge)
    since, changed = reader.changed(deleted=reader.size // share)
    window = {"since": since, "until": reader.until_now()} if strategy == "incremental" else {}
    pages, _ = reader.read(**window)
    assert set(changed["deleted"]) <= set(reader.ids(pages))
    expected = changed["deleted"] if window else None
    assert list(wrong(reader, pages, expected)) == []
    goes_on_after_any_page(reader, pages, expected, **window)


@every_edge
@every_provider
def test_a_loser_names_its_survivor_or_the_survivor_its_losers(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    since, changed = reader.changed(merged=reader.size // 2)
    pages, _ = reader.read(since=since, until=reader.until_now())
    shape, told = reader.object.shape, {}
    for page in pages:
        for text in page.records:
            record = msgspec.json.decode(text)
            if shape.merged_into and (winner := at_path(record, shape.merged_into)):
                told[reader.id_of(text)] = winner
            if shape.merged_ids and (losers := at_path(record, shape.merged_ids)):
                told |= dict.fromkeys(losers.split(";"), reader.id_of(text))
    assert told == dict(changed["merged"])


PASSING = {
    "a rate limit": {"name": "rate_limit"},
    "a rate limit with a time": {"name": "rate_limit", "retry_after": 30},
    "an access token that ended": {"name": "token_expired"},
    "a body shorter than promised": {"name": "truncated"},
    "JSON cut in the middle": {"name": "cut_json"},
    "a line that is reset": {"name": "reset"},
    "an error 500": {"name": "status", "status": 500},
    "an error 503 without a body": {"name": "status", "status": 503, "empty": True},
    "a web page for data": {"name": "html"},
    "a web page of a proxy": {"name": "html", "status": 502},
}


@pytest.mark.parametrize("trouble", PASSING)
@every_edge
@every_provider
def test_trouble_before_every_page_passes_without_a_trace(open_reader, provider, edge, trouble):
    reader = open_reader(provider, edge)
    asked = []

    def strike(number):
        asked.append(number)
        reader.control.fault(reader.account.id, **PASSING[trouble], times=1)

    pages, notices = reader.read(after_page=strike)
    assert list(wrong(reader, pages)) == []
    assert notices == []
    # Each page but the last was followed by a call that the trouble met.
    left = len(reader.control.faults()["on"])
    assert len(asked) - left >= len(pages)
    if trouble == "a rate limit with a time":
        assert max(reader.slept) > 29


@pytest.mark.parametrize("trouble", PASSING)
@pytest.mark.parametrize("strategy", ["incremental", "bulk"])
@every_provider
def test_trouble_passes_in_every_way_of_reading(open_reader, provider, strategy, trouble):
    reader = open_reader(provider, "2*size+1")
    since, _ = reader.changed(updated=reader.size)
    ways = {"incremental": {"since": since, "until": reader.until_now()}, "bulk": {"bulk_above": 0}}

    def strike(number):
        reader.control.fault(reader.account.id, **PASSING[trouble], times=1)

    pages, ends = read_in_runs(reader, after_page=strike, **ways[strategy])
    assert list(wrong(reader, pages)) == []
    # A CSV that is cut is only noticed by its flow, which ends there: the next run goes on from the stored page.
    assert ends == 0 or (strategy, trouble) == ("bulk", "JSON cut in the middle")


def read_in_runs(reader, after_page, **how):
    """(pages, how often a run ended early): each further run goes on from the page that was stored last."""
    pages, ends, resume = [], 0, None
    after_page(0)
    while True:
        try:
            for step in reader.sessions[-1].read(reader.provider.read(reader.plan(resume=resume, **how))):
                assert isinstance(step, Page)
                pages.append(step)
                resume = stored(step.resume) if step.resume else resume
                after_page(len(pages))
        except Retry:
            reader.control.clear_faults()
            ends += 1
            continue
        return pages, ends


@pytest.mark.parametrize("strategy", ["full", "incremental"])
@every_edge
@every_provider
def test_tokens_that_really_end_are_refreshed_between_pages(open_reader, provider, edge, strategy):
    reader = open_reader(provider, edge)
    since, _ = reader.changed(updated=reader.size)
    window = {"since": since, "until": reader.until_now()} if strategy == "incremental" else {}
    reader.control.settings(reader.account.id, rotate_refresh_tokens=True)
    pages, _ = reader.read(after_page=lambda number: reader.control.expire_tokens(reader.account.id), **window)
    assert list(wrong(reader, pages)) == []


@pytest.mark.parametrize("edge", [edge for edge, (times, more) in EDGES.items() if times + more > 1])
@every_provider
def test_a_long_rate_limit_ends_the_read_with_its_time_and_the_read_goes_on_later(
    open_reader, monkeypatch, provider, edge
):
    reader = open_reader(provider, edge)
    session = reader.sessions[-1]
    flow = session.read(reader.provider.read(reader.plan()))
    page = next(flow)
    reader.control.fault(reader.account.id, "rate_limit", retry_after=3600)
    with pytest.raises(Wait) as told:
        next(flow)
    assert timedelta(seconds=3500) < told.value.until - datetime.now(UTC) <= timedelta(seconds=3600)
    calls = session.calls
    with pytest.raises(Wait):
        reader.ask(reader.provider.identify())
    assert session.calls == calls, "the account is left alone until then"
    assert max(reader.slept, default=0) < 130

    reader.control.clear_faults()
    monkeypatch.setattr(pace, "_paces", OrderedDict())
    reader.session()
    rest, _ = reader.read(resume=stored(page.resume))
    assert list(wrong(reader, [page, *rest])) == []


@pytest.mark.parametrize("where", ["both", "data"])
@every_edge
@every_provider
def test_a_field_that_vanishes_between_pages_costs_no_record(open_reader, provider, edge, where):
    reader = open_reader(provider, edge)
    account, name = reader.account.id, reader.object.name
    pages = 1
    passed = 0
    while passed < pages:
        passed += 1
        field = f"Vanishing_{where}_{passed}__c"
        reader.control.fault(account, "field_added", object=name, field=field)
        reader.describe()
        assert field in [known.name for known in reader.schema.fields]
        whole, _ = reader.read()
        pages = len(whole)

        def vanish(number, at=passed, field=field):
            if number == at:
                reader.control.fault(account, "field_vanished", object=name, field=field, where=where)

        read, _ = reader.read(after_page=vanish)
        assert list(wrong(reader, read, without={field})) == []
        if whole[passed - 1].resume is not None:
            reader.session()
            rest, _ = reader.read(resume=stored(whole[passed - 1].resume))
            assert list(wrong(reader, [*whole[:passed], *rest], without={field})) == []
        reader.control.fault(account, "field_vanished", object=name, field=field)


@every_edge
@every_provider
def test_pages_shorter_than_asked_for_lose_nothing(open_reader, provider, edge):
    reader = open_reader(provider, edge)
    reader.control.fault(reader.account.id, "short_pages", size=7)
    pages, _ = reader.read()
    assert max(len(page.records) for page in pages) == 7
    assert list(wrong(reader, pages)) == []


@pytest.mark.parametrize("asked", EDGES)
@every_provider
def test_a_limited_read_stops_about_there(open_reader, provider, asked):
    reader = open_reader(provider, "2*size+1")
    limit = sizes_of(provider)[asked]
    pages, _ = reader.read(limit=limit)
    ids = reader.ids(pages)
    assert limit <= len(ids) < limit + reader.page
    assert list(wrong(reader, pages, ids)) == []


@every_provider
def test_every_declared_object_that_the_accounts_have_is_proven(provider):
    """So that an object which the sandbox learns later is not forgotten here."""
    names = {PROVIDERS[provider].find_object(name).name for name in objects_of(provider) if name != OWN}
    declared = {known.name for known in PROVIDERS[provider].objects}
    common = {known.name for known in PROVIDERS[provider].objects if known.common_name}
    assert common <= names
    assert names <= declared
