"""What the providers declare: names, mapping rules, tokens, questions."""

from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.model.common_model import COMMON_COLUMNS, Compute
from sync_pipelines.model.errors import ConfigurationError, VendorError
from sync_pipelines.model.flow import Response
from sync_pipelines.model.provider import Account
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS, provider
from sync_pipelines.providers.salesforce.soql import long_id, moment, text
from sync_pipelines_tests.http_client.scripted import Conversation, Vendor, answer

FROM_SHAPE = {"id", "created_at", "updated_at", "last_modified_at", "is_deleted"}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_provider_has_the_five_common_objects_with_rules_for_known_columns_only(name):
    by_common = {known.common_name: known for known in PROVIDERS[name].objects if known.common_name}
    # Associations are made of whatever objects a sync names.
    assert set(by_common) == set(COMMON_COLUMNS) - {"association"}
    for common_name, known in by_common.items():
        columns = {column.name for column in COMMON_COLUMNS[common_name]} - FROM_SHAPE
        assert set(known.common) <= columns
        assert len(known.common) >= len(columns) - 4


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_no_two_objects_answer_to_one_name(name):
    names = [word.casefold() for known in PROVIDERS[name].objects for word in (known.name, *known.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("provider_name", "words", "vendor_name"),
    [
        ("hubspot", ("contact", "Contact", "CONTACTS", "0-1"), "contacts"),
        ("hubspot", ("account", "company", "0-2"), "companies"),
        ("hubspot", ("opportunity", "deals", "0-3"), "deals"),
        ("hubspot", ("user", "owners"), "owners"),
        ("hubspot", ("2-123",), "2-123"),
        ("hubspot", ("p123_car",), "p123_car"),
        ("salesforce", ("contact", "Contacts"), "Contact"),
        ("salesforce", ("emailmessage",), "EmailMessage"),
        ("salesforce", ("Employee__c",), "Employee__c"),
    ],
)
def test_objects_are_found_by_any_of_their_names(provider_name, words, vendor_name):
    assert {PROVIDERS[provider_name].find_object(word).name for word in words} == {vendor_name}


@pytest.mark.parametrize("name", ["", "Contact; DROP", "a b", "../x", "x'", "x" * 300, "é"])
def test_a_name_that_cannot_be_an_object_is_refused(name):
    for known in PROVIDERS.values():
        with pytest.raises(ConfigurationError, match="write"):
            known.find_object(name)


def test_unknown_providers_and_versions_name_the_known_ones():
    with pytest.raises(ConfigurationError, match="hubspot, salesforce"):
        provider("zoho")
    with pytest.raises(ConfigurationError, match="v3, 2026-03"):
        provider("hubspot", "v9")
    assert provider("salesforce", "v66.0").objects == PROVIDERS["salesforce"].objects


def computed(provider_name, common_name, column, *values):
    rule = PROVIDERS[provider_name].find_object(common_name).common[column]
    assert isinstance(rule, Compute)
    return rule.function(*values)


def test_the_status_of_an_opportunity_follows_from_two_flags():
    flags = [(False, False), (True, False), (True, True), (None, None)]
    assert [computed("salesforce", "opportunity", "status", *pair) for pair in flags] == ["OPEN", "LOST", "WON", None]
    texts = [("false", "false"), ("false", "true"), ("true", "true"), (None, None), (None, "true"), ("", "")]
    told = [computed("hubspot", "opportunity", "status", *pair) for pair in texts]
    assert told == ["OPEN", "LOST", "WON", None, "LOST", "OPEN"]


def test_an_owner_has_one_name_and_is_active_until_archived():
    assert computed("hubspot", "user", "name", "Ada", None) == "Ada"
    assert computed("hubspot", "user", "name", None, None) is None
    assert computed("hubspot", "user", "is_active", True) is False
    assert computed("hubspot", "lead", "last_name", None, "Ada's lead") == "Ada's lead"


def test_salesforce_literals_are_escaped():
    assert text('O\'Hara\\\n"x"') == "'O\\'Hara\\\\\\n\"x\"'"
    assert moment(datetime(2026, 5, 1, 7, 25, 37, 123999, UTC)) == "2026-05-01T07:25:37.123Z"


@pytest.mark.parametrize(
    ("short", "long"),
    [("001000000000000", "001000000000000AAA"), ("00530000003xqAb", "00530000003xqAbAAI"), ("a", "a"), (None, None)],
)
def test_short_salesforce_ids_get_their_checksum(short, long):
    assert long_id(short) == long


def test_tokens_are_read_and_one_without_an_access_token_is_refused():
    body = b'{"access_token":"a","refresh_token":"r","expires_in":1800}'
    tokens = PROVIDERS["hubspot"].token_from(Response(200, {}, body))
    assert tokens.refresh_token == Secret("r")
    assert timedelta(seconds=1790) < tokens.expires_at - datetime.now(UTC) <= timedelta(seconds=1800)
    salesforce = PROVIDERS["salesforce"].token_from(
        Response(200, {}, b'{"access_token":"a","instance_url":"https://i"}')
    )
    assert (salesforce.api_url, salesforce.refresh_token, salesforce.expires_at) == ("https://i", None, None)
    for known in PROVIDERS.values():
        with pytest.raises(VendorError) as refusal:
            known.token_from(Response(200, {}, b'{"refresh_token":"r-secret"}'))
        assert "r-secret" not in f"{refusal.value} {refusal.value.detail}"


def test_the_connected_account_is_told_by_the_vendor():
    body = {"organization_id": "00Dx0000001gPLl", "name": "Ada"}
    talk = Conversation(PROVIDERS["salesforce"], Vendor(answer(body)))
    assert talk.ask(PROVIDERS["salesforce"].identify()) == Account(id=long_id(body["organization_id"]), name="Ada")
    talk = Conversation(PROVIDERS["hubspot"], Vendor(answer({"portalId": 123, "uiDomain": "app.hubspot.com"})))
    assert talk.ask(PROVIDERS["hubspot"].identify()) == Account(id="123", name="app.hubspot.com 123")


def test_salesforce_counts_what_is_not_deleted():
    vendor = Vendor(answer({"totalSize": 42, "done": True, "records": []}))
    talk = Conversation(PROVIDERS["salesforce"], vendor)
    assert talk.ask(PROVIDERS["salesforce"].count(PROVIDERS["salesforce"].find_object("lead"))) == 42
    assert vendor.requests[0].url.path.endswith("/queryAll"), "archived tasks and events are not deleted"
    assert vendor.requests[0].url.params["q"] == "SELECT COUNT() FROM Lead WHERE IsDeleted = false"


def test_salesforce_counts_objects_that_cannot_be_deleted():
    refusal = answer(
        [{"message": "No such column 'IsDeleted' on entity 'Shift__x'", "errorCode": "INVALID_FIELD"}], 400
    )
    vendor = Vendor(refusal, answer({"totalSize": 7, "done": True, "records": []}))
    talk = Conversation(PROVIDERS["salesforce"], vendor)
    assert talk.ask(PROVIDERS["salesforce"].count(PROVIDERS["salesforce"].find_object("Shift__x"))) == 7
    assert vendor.requests[1].url.params["q"] == "SELECT COUNT() FROM Shift__x"


def test_salesforce_falls_back_to_an_older_kind_of_time_of_change():
    def refusal(name):
        message = f"No such column '{name}' on entity 'Odd__c'"
        return answer([{"message": message, "errorCode": "INVALID_FIELD"}], 400)

    changed, odd = PROVIDERS["salesforce"].changed, PROVIDERS["salesforce"].find_object("Odd__c")
    since = datetime(2026, 5, 1, tzinfo=UTC)
    vendor = Vendor(refusal("SystemModstamp"), answer({"totalSize": 3, "done": True, "records": []}))
    assert Conversation(PROVIDERS["salesforce"], vendor).ask(changed(odd, since)) == 3
    assert "LastModifiedDate >= 2026-05-01T00:00:00.000Z" in vendor.requests[1].url.params["q"]
    vendor = Vendor(*(refusal(name) for name in ("SystemModstamp", "LastModifiedDate", "CreatedDate")))
    assert Conversation(PROVIDERS["salesforce"], vendor).ask(changed(odd, since)) is None
