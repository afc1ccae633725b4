import json

import pytest

from sync_pipelines_tests.providers.golden.exchanges import CERTAINTIES, FOLDER, exchanges
from sync_pipelines_tests.providers.golden.soql import SoqlError, parse, soql_mistakes

PROVIDERS = ("salesforce", "hubspot")
EVERY = [(provider, name) for provider in PROVIDERS for name in exchanges(provider)]


@pytest.mark.parametrize(("provider", "name"), EVERY)
def test_every_exchange_says_where_it_was_read_and_how_sure_that_is(provider, name):
    exchange = exchanges(provider)[name]
    assert exchange.certainty in CERTAINTIES
    assert len(exchange.source) > 40, "the source names the document, the section or operation, and a version or date"
    assert {"method", "path"} <= exchange.request.keys()
    assert {"status", "headers", "body"} == exchange.response.keys()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_names_are_given_once(provider):
    names = [entry["name"] for entry in json.loads((FOLDER / f"{provider}.json").read_text(encoding="utf-8"))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id, Name FROM Account",
        "select id from Contact where SystemModstamp >= 2026-01-01T00:00:00Z order by SystemModstamp, Id limit 2000",
        "SELECT Id FROM Contact WHERE (SystemModstamp = 2026-01-01T00:00:00.000Z AND Id > '003000000000001AAA') "
        "OR SystemModstamp > 2026-01-01T00:00:00+00:00 ORDER BY SystemModstamp ASC NULLS LAST, Id",
        "SELECT COUNT() FROM Contact WHERE IsDeleted = false",
        r"SELECT Id FROM Contact WHERE LastName = 'O\'Hara' AND Id IN ('003000000000001AAA')",
        r"SELECT Id FROM Contact WHERE (IsDeleted = true OR (Name LIKE '1\%%' AND (Id NOT IN ('a') OR A = null)))",
    ],
)
def test_the_soql_reader_takes_what_the_reference_allows(text):
    assert parse(text).object in {"Account", "Contact"}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id FROM Contact WHERE",
        "SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'",
        "SELECT Id FROM Contact WHERE SystemModstamp > 2026-01-01",
        "SELECT Id FROM Contact WHERE SystemModstamp > 2026-01-01T00:00:00 00:00",
        "SELECT Id FROM Contact WHERE Id > 003000000000001AAA",
        "SELECT Id FROM Contact WHERE A = 1 AND B = 2 OR C = 3",
        "SELECT COUNT() FROM Contact ORDER BY Id",
        "SELECT Id, Id FROM Contact",
        "SELECT Id, FROM Contact",
        "SELECT * FROM Contact",
        "SELECT Id FROM Contact LIMIT 10 WHERE Id = 'a'",
        "SELECT Id FROM Contact;",
        "SELECT Id FROM Contact WHERE LastName LIKE 5",
        "SELECT Id FROM Contact WHERE LastName NOT = 'a'",
    ],
)
def test_the_soql_reader_refuses_what_the_vendor_refuses(text):
    with pytest.raises(SoqlError):
        parse(text)


def test_a_query_for_other_fields_or_another_object_is_another_query():
    assert soql_mistakes("SELECT Id, Name FROM Account", "SELECT Name, Id FROM Account ORDER BY Id") == []
    assert soql_mistakes("SELECT Id, Name FROM Account", "SELECT Id FROM Lead") == [
        "FROM Lead, golden Account",
        "SELECT ['Id'], golden ['Id', 'Name']",
    ]
