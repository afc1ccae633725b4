"""A mapping that can never work on the account is refused when it is saved."""

from dataclasses import replace

import pytest

from sync_pipelines.engine.mapping_check import check_mapping, check_unasked, examine
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import CustomSchema, FieldRule, Mapping, SchemaField, Transform
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import SyncObject

KINDS = ("text", "number", "integer", "boolean", "timestamp", "date", "json")
ACCOUNT = ObjectSchema(fields=tuple(VendorField(name=f"{kind.title()}__c", type=kind) for kind in KINDS))
COLUMNS = ("text", "numeric", "bigint", "boolean", "timestamptz", "date", "jsonb")


def check(column_type, vendor_field, *transforms):
    schema = CustomSchema(version=1, fields=(SchemaField(name="wanted", type=column_type),))
    mapping = Mapping(
        customer_id="a",
        provider="salesforce",
        object="Account",
        version=1,
        fields={
            "wanted": FieldRule(sources=(vendor_field,), transforms=tuple(Transform(name=name) for name in transforms))
        },
    )
    check_mapping(SyncObject(object="Account", custom_schema=schema), "salesforce", mapping, ACCOUNT, hash_key=None)


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


PICKLIST = ObjectSchema(
    fields=(VendorField(name="Tier__c", choices=("A", "B", "C")), VendorField(name="Owner", type="json")),
    unreadable=(VendorField(name="BillingAddress"),),
)


def tier(options, *, kind="text", source="Tier__c", required=False, more=()):
    fields = (SchemaField(name="tier", type=kind, required=required), *more)
    schema = CustomSchema(version=1, fields=fields)
    rule = FieldRule(
        sources=(source,), transforms=(Transform(name="value_mapping", options=options),) if options else ()
    )
    mapping = Mapping(customer_id="a", provider="salesforce", object="Account", version=1, fields={"tier": rule})
    return check_mapping(
        SyncObject(object="Account", custom_schema=schema), "salesforce", mapping, PICKLIST, hash_key=None
    )


def test_a_value_mapping_that_speaks_of_what_the_picklist_does_not_have_is_a_warning():
    (warning,) = tier({"values": {"A": "gold", "Z": "none", "D": "none"}}).warnings
    assert "names Z, D, which Tier__c does not offer; it offers A, B, C" in warning
    assert tier({"values": {"A": "gold"}}).warnings == ()


@pytest.mark.parametrize("otherwise", ["misfit", "null"])
def test_choices_that_a_value_mapping_leaves_without_a_value_are_a_warning(otherwise):
    (warning,) = tier({"values": {"A": "gold"}, "otherwise": otherwise}).warnings
    assert "has nothing for B, C, which Tier__c offers too" in warning


def test_transforms_are_compiled_and_their_result_held_to_the_column():
    with pytest.raises(ConfigurationError, match=r"tier: Transform 1, value_mapping: .*values"):
        tier({"walues": {}})
    schema = CustomSchema(version=1, fields=(SchemaField(name="tier", type="boolean"),))
    rule = FieldRule(sources=("Tier__c",), transforms=(Transform(name="format_phone"),))
    mapping = Mapping(customer_id="a", provider="salesforce", object="Account", version=1, fields={"tier": rule})
    with pytest.raises(ConfigurationError, match="does not give what a column of type boolean holds"):
        check_mapping(
            SyncObject(object="Account", custom_schema=schema), "salesforce", mapping, PICKLIST, hash_key=None
        )


def test_a_path_is_held_to_the_field_at_which_it_begins():
    assert tier(None, source="owner.Name.First").warnings == ()
    with pytest.raises(ConfigurationError, match=r"no readable field Manager\.Name"):
        tier(None, source="Manager.Name")


def test_a_field_that_is_shown_and_cannot_be_read_is_told_apart():
    with pytest.raises(ConfigurationError, match=r"BillingAddress .* cannot be read as a whole"):
        tier(None, source="billingaddress")


def test_required_fields_that_nobody_maps_are_named():
    more = (SchemaField(name="size", required=True), SchemaField(name="owner", required=True))
    assert tier(None, more=more).unmapped == ("size",)


def test_all_that_is_wrong_is_told_at_once():
    schema = CustomSchema(version=1, fields=(SchemaField(name="a"), SchemaField(name="b", type="date")))
    fields = {"a": FieldRule(sources=("Nothing__c",)), "b": FieldRule(sources=("Boolean__c",))}
    mapping = Mapping(customer_id="a", provider="salesforce", object="Account", version=1, fields=fields)
    declared = SyncObject(object="Account", custom_schema=schema)
    with pytest.raises(ConfigurationError) as refused:
        check_mapping(declared, "salesforce", mapping, ACCOUNT, hash_key=None)
    assert "Nothing__c (for a)" in str(refused.value)
    assert "Boolean__c is a boolean and can never fill b" in str(refused.value)
    defaults = replace(
        schema, fields=(replace(schema.fields[0], sources={"salesforce": fields["a"]}), schema.fields[1])
    )
    found = examine(replace(declared, custom_schema=defaults), "salesforce", None, ACCOUNT, hash_key=None)
    assert ["Nothing__c" in text for text in found.errors] == [True]


@pytest.mark.parametrize(
    ("column_type", "kind", "transform"),
    [
        ("date", "boolean", "date_to_iso"),
        ("text", "boolean", "number_to_currency"),
        ("text", "timestamp", "number_to_currency"),
        ("text", "date", "boolean_to_string"),
    ],
)
def test_a_transform_that_makes_nothing_of_a_type_is_refused(column_type, kind, transform):
    with pytest.raises(ConfigurationError, match=rf"{kind.title()}__c is a {kind}, of which {transform} can never"):
        check(column_type, f"{kind.title()}__c", "none", transform)
    check(column_type, "Text__c", transform)


def test_a_type_that_never_fits_does_not_fit_by_doing_nothing():
    with pytest.raises(ConfigurationError, match="Boolean__c is a boolean"):
        check("date", "Boolean__c", "none")


def test_without_asking_the_account_what_is_wrong_anywhere_is_still_refused():
    schema = CustomSchema(version=1, fields=(SchemaField(name="tier"), SchemaField(name="size", type="numeric")))
    declared = SyncObject(object="Account", custom_schema=schema)

    def look(**rules):
        mapping = Mapping(customer_id="a", provider="salesforce", object="Account", version=1, fields=rules)
        check_unasked(declared, "salesforce", mapping, hash_key=None)

    look(tier=FieldRule(sources=("NoSuchField",)))
    half = FieldRule(
        sources=("Tier__c",), transforms=(Transform(name="custom", options={"expression": "upper(value"}),)
    )
    words = FieldRule(sources=("Tier__c",), transforms=(Transform(name="number_to_currency"),))
    with pytest.raises(ConfigurationError, match=r"tier: Transform 1, custom(.|\n)*size: number_to_currency"):
        look(tier=half, size=words)


@pytest.mark.parametrize(
    ("written", "meant"), [("annualrevenue", ["annual_revenue"]), ("Renewal_Dat", ["renewal_date"]), ("colour", [])]
)
def test_an_additional_field_that_looks_like_one_of_the_schema_is_warned_of(written, meant):
    fields = (SchemaField(name="annual_revenue"), SchemaField(name="renewal_date"))
    declared = SyncObject(
        object="Account", custom_schema=CustomSchema(version=1, fields=fields, allow_additional_fields=True)
    )
    rules = {written: FieldRule(sources=("Text__c",))}
    mapping = Mapping(customer_id="a", provider="salesforce", object="Account", version=1, fields=rules)
    found = check_mapping(declared, "salesforce", mapping, ACCOUNT, hash_key=None)
    assert [warning.partition("Did you mean ")[2].rstrip("?") for warning in found.warnings] == meant
