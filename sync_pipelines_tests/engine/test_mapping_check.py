"""A mapping that can never work on the account is refused when it is saved."""

import pytest

from sync_pipelines.engine.mapping_check import check_mapping
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import CustomSchema, FieldRule, Mapping, SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import SyncObject

KINDS = ("text", "number", "integer", "boolean", "timestamp", "date", "json")
ACCOUNT = ObjectSchema(fields=tuple(VendorField(name=f"{kind.title()}__c", type=kind) for kind in KINDS))
COLUMNS = ("text", "numeric", "bigint", "boolean", "timestamptz", "date", "jsonb")


def check(column_type, vendor_field):
    schema = CustomSchema(version=1, fields=(SchemaField(name="wanted", type=column_type),))
    mapping = Mapping(
        customer_id="a",
        provider="salesforce",
        object="Account",
        version=1,
        fields={"wanted": FieldRule(sources=(vendor_field,))},
    )
    check_mapping(SyncObject(object="Account", custom_schema=schema), "salesforce", mapping, ACCOUNT)


@pytest.mark.parametrize("column_type", COLUMNS)
def test_a_text_may_be_mapped_onto_anything(column_type):
    check(column_type, "text__C")


@pytest.mark.parametrize("kind", KINDS)
def test_anything_may_be_mapped_onto_a_text(kind):
    check("text", f"{kind.title()}__c")


@pytest.mark.parametrize(
    ("column_type", "kind"), [("numeric", "boolean"), ("date", "number"), ("boolean", "date"), ("bigint", "timestamp")]
)
def test_types_that_never_fit_are_refused_with_both_named(column_type, kind):
    with pytest.raises(ConfigurationError, match=rf"{kind.title()}__c is a {kind} .* wanted, which is {column_type}"):
        check(column_type, f"{kind.title()}__c")


def test_a_field_that_is_not_there_is_refused_with_a_suggestion():
    with pytest.raises(ConfigurationError, match="Did you mean Number__c"):
        check("numeric", "Numbr__c")
