"""Hidden values that are loaded all the same are told with the way out, and only those."""

from dataclasses import replace

import pytest

from sync_pipelines.engine.exposure import exposed
from sync_pipelines.model.mapping import FieldRule, Transform
from sync_pipelines.model.sync import SyncObject
from sync_pipelines.providers import PROVIDERS

CONTACT = PROVIDERS["salesforce"].find_object("contact")
DECLARED = SyncObject(object="contact")


def rule(*sources, by):
    return FieldRule(sources=sources, transforms=(Transform(name=by),))


@pytest.mark.parametrize("by", ["hash", "mask", "drop"])
def test_a_hidden_value_that_is_loaded_all_the_same_is_told_with_the_way_out(by):
    (text,) = exposed(DECLARED, CONTACT, {"ssn": rule("SSN__c", by=by)})
    assert text == (
        "ssn: the rule hides SSN__c, but the same values are loaded into raw_data as they are. Set `raw_fields: false` "
        "for contact where they must not be."
    )
    (text,) = exposed(DECLARED, CONTACT, {"surname": rule("LASTNAME", by=by), "plain": rule("Title", by="uppercase")})
    assert "hides LASTNAME, but" in text
    assert "raw_data and last_name" in text
    assert "`raw_fields: false` and `common_schema: false`" in text


def test_what_is_hidden_indeed_or_not_to_be_hidden_is_no_warning():
    hiding = {"ssn": rule("SSN__c", by="hash")}
    assert exposed(replace(DECLARED, raw_fields=False), CONTACT, hiding) == []
    bare = replace(DECLARED, raw_fields=False, common_schema=False)
    assert exposed(bare, CONTACT, {"surname": rule("LastName", by="mask")}) == []
    assert exposed(DECLARED, CONTACT, {"name": rule("LastName", by="uppercase"), "nobody": None}) == []
