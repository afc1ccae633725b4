"""A customer's rules in the mapper: where values come from, what is kept of those that do not fit, what is required."""

import msgspec
import pytest

from sync_pipelines.engine.layout import FieldPlan, marks_of
from sync_pipelines.engine.mapping import CustomColumn, RecordMapper
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ROW_HEAD, Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Transform
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject

FLAT = CrmObject(name="Contact", shape=RecordShape(id=("Id",)))
NESTED = CrmObject(name="contacts", shape=RecordShape(id=("id",), fields=("properties",)))


def rule(*sources, **transforms):
    steps = tuple(Transform(name=name, options=options) for name, options in transforms.items())
    return FieldRule(sources=sources, transforms=steps)


def mapped(rules, records, *, types=None, required=(), fields=(), crm_object=FLAT, key=None):
    """({column: values}, [errors of each record])."""
    columns = tuple(Column(name, (types or {}).get(name, "text")) for name in rules)
    schema = ObjectSchema(fields=tuple(VendorField(name=name) for name in fields))
    custom = [CustomColumn(name, each, name in required) for name, each in rules.items()]
    mapper = RecordMapper(crm_object, schema, columns, common=False, custom=custom, hash_key=key)
    made = mapper([msgspec.json.encode(record) for record in records], [0] * len(records))
    errors = [msgspec.json.decode(each) if each else {} for each in made.columns[1]]
    assert made.misfits == sum(map(len, errors))
    return {name: list(made.columns[ROW_HEAD + place]) for place, name in enumerate(rules)}, errors


def test_transforms_make_a_column_of_several_fields():
    rules = {"name": rule("First", "Last", concatenate={}), "plain": rule("First")}
    values, errors = mapped(rules, [{"First": "Ada", "Last": "Lovelace"}, {"First": "Bob"}])
    assert values == {"name": ["Ada Lovelace", "Bob"], "plain": ["Ada", "Bob"]}
    assert errors == [{}, {}]


def test_a_plain_name_wins_over_a_path():
    record = {"Owner": {"Name": "inner"}, "Owner.Name": "plain"}
    rules = {"name": rule("Owner.Name")}
    assert mapped(rules, [record])[0] == {"name": ["inner"]}
    assert mapped(rules, [record], fields=["Owner.Name"])[0] == {"name": ["plain"]}


def test_a_path_leads_into_what_may_be_null_or_missing():
    rules = {"name": rule("Owner.Name"), "city": rule("Address.Geo.City"), "owner": rule("Owner")}
    records = [{"Owner": {"Name": "Ada"}, "Address": {"Geo": {"City": "Leeds"}}}, {"Owner": None}, {"Address": "flat"}]
    values, errors = mapped(rules, records, types={"owner": "jsonb"})
    assert values["name"] == ["Ada", None, None]
    assert values["city"] == ["Leeds", None, None]
    assert values["owner"] == [b'{"Name":"Ada"}', None, None]
    assert errors == [{}, {}, {}]


def test_paths_begin_at_the_fields():
    record = {"id": "1", "properties": {"owner": {"name": "Ada"}}, "owner": {"name": "not this"}}
    assert mapped({"name": rule("owner.name")}, [record], crm_object=NESTED)[0] == {"name": ["Ada"]}


def test_what_does_not_fit_a_transform_keeps_the_vendors_value():
    rules = {"money": rule("Amount", number_to_currency={}), "plain": rule("Amount")}
    values, errors = mapped(rules, [{"Amount": 5}, {"Amount": "about 5"}, {"Amount": None}])
    assert values == {"money": ["$5.00", None, None], "plain": ["5", "about 5", None]}
    assert errors[1] == {"money": {"field": "Amount", "value": "about 5", "reason": "The value is not a plain number."}}
    assert (errors[0], errors[2]) == ({}, {})


def test_what_does_not_fit_the_column_after_a_transform_keeps_the_vendors_value_too():
    rules = {"count": rule("A", "B", concatenate={"separator": "-"})}
    values, errors = mapped(rules, [{"A": 1, "B": 2}, {"A": 3}], types={"count": "bigint"})
    assert values == {"count": [None, 3]}
    assert errors[0] == {"count": {"field": "A, B", "value": "[1,2]", "reason": "The value is not a plain number."}}


def test_required_is_looked_at_after_the_transforms():
    rules = {
        "tier": rule("Tier", value_mapping={"values": {"none": None}}),
        "name": rule("A", default_value={"value": "-"}),
    }
    values, errors = mapped(rules, [{"Tier": "gold"}, {"Tier": "none"}, {"Tier": ""}], required=("tier", "name"))
    assert values == {"tier": ["gold", None, ""], "name": ["-", "-", "-"]}
    reason = "The field is required and has no value."
    assert errors == [{}, *[{"tier": {"field": "Tier", "value": None, "reason": reason}}] * 2]


def test_personal_values_are_not_told_in_errors():
    number = {"expression": "number(value)"}
    rules = {"email": rule("Email", custom=number, mask={})}
    values, errors = mapped(rules, [{"Email": "ada@acme.example"}])
    assert values == {"email": [None]}
    assert "ada" not in str(errors)
    assert errors[0]["email"]["reason"] == "The value does not fit; it is personal and not shown."


def test_a_hash_needs_its_key_and_never_loads_the_value_plain():
    rules = {"email": rule("Email", hash={})}
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_HASH_KEY"):
        mapped(rules, [{"Email": "ada@acme.example"}])
    values, _ = mapped(rules, [{"Email": "ada@acme.example"}, {"Email": None}], key=Secret("key"))
    assert len(values["email"][0]) == 64
    assert values["email"][1] is None


def told(made_by, key=None):
    table = Table(name="t", columns=(Column("x", "text"),))
    plan = FieldPlan(fields=(), custom=(CustomColumn("x", made_by),), additional={}, missing=())
    return marks_of(SyncObject(object="Contact"), table, plan, key).mapped["x"]


def test_every_change_of_a_rule_makes_its_column_anew():
    plain = told(rule("A"))
    others = [
        told(rule("B")),
        told(rule("A", "B", concatenate={})),
        told(rule("B", "A", concatenate={})),
        told(rule("A", "B", concatenate={"separator": "-"})),
        told(rule("A", mask={})),
        told(rule("A", mask={}, none={})),
        told(rule("A", hash={}), Secret("one")),
        told(rule("A", hash={}), Secret("other")),
    ]
    assert len({plain, *others}) == 1 + len(others)


def test_the_order_in_which_options_are_written_is_no_change():
    assert told(rule("A", mask={"first": 1, "last": 2})) == told(rule("A", mask={"last": 2, "first": 1}))
