"""What an outlook tells without the account is never less than what the engine then finds, with it exactly that."""

from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.config.rules import rules_from
from sync_pipelines.engine.backfill import change_of, keeps_records, marked
from sync_pipelines.engine.layout import marks_of, plan_fields, table_of
from sync_pipelines.engine.outlook import Outlook
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import CustomSchema, FieldRule, Mapping, SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.providers import PROVIDERS

CONTACT = PROVIDERS["salesforce"].find_object("contact")
NAMES = ("Tier", "tier", "Size", "SIZE", "Gone__c")
ACCOUNTS = st.lists(st.sampled_from(("Tier", "Size", "Other__c")), unique=True)
MAPPINGS = st.none() | st.dictionaries(st.sampled_from(("tier", "size")), st.sampled_from(NAMES))

DEFAULTS = st.sampled_from(NAMES).map(lambda name: {"salesforce": FieldRule(sources=(name,))})


@st.composite
def objects(draw):
    fields = tuple(
        SchemaField(
            name=name,
            type=draw(st.sampled_from(("text", "numeric"))),
            required=draw(st.booleans()),
            sources=draw(
                st.just({}) | st.builds(lambda one: {"salesforce": FieldRule(sources=(one,))}, st.sampled_from(NAMES))
            ),
        )
        for name in ("tier", "size")
        if draw(st.integers(0, 4))
    )
    return SyncObject(
        object="contact",
        raw_fields=draw(st.booleans()),
        custom_schema=CustomSchema(version=1, fields=fields, allow_additional_fields=True),
    )


def mapped(rules):
    if rules is None:
        return None
    return Mapping(customer_id="acme", provider="salesforce", object="contact", version=1, fields=rules_from(rules))


def table(declared):
    return table_of(Sync(name="crm", provider="salesforce", destination="w", objects=(declared,)), declared, CONTACT)


def marks(declared, mapping, account):
    schema = ObjectSchema(fields=tuple(VendorField(name=name) for name in account))
    return marks_of(declared, table(declared), plan_fields(declared, CONTACT, schema, "salesforce", mapping))


@given(objects(), objects(), MAPPINGS, MAPPINGS, ACCOUNTS)
def test_an_outlook_never_tells_less_than_the_engine_finds(before, after, old, new, account):
    try:
        known = marked(Checkpoint(), marks(before, mapped(old), account), reread=False)
    except ConfigurationError:
        return
    outlook = Outlook(after, CONTACT, table(after), "salesforce")
    try:
        finds = change_of(known, marks(after, mapped(new), account), keeps_records=keeps_records(table(after)))
    except ConfigurationError:
        return  # A required field that only the account could tell of.
    assert outlook.change(known, mapped(new), account) == finds
    told = outlook.change(known, mapped(new), None)
    assert told.full_read or (not finds.full_read and told.columns >= finds.columns)
    if before == after and old == new:
        spelled = {rule.sources[0] for rule in rules_from(old or {}).values()} <= {*account}
        default = {each.sources["salesforce"].sources[0] for each in after.custom_schema.fields if each.sources}
        same_names = {each.name for each in after.custom_schema.fields}.isdisjoint({"tier", "size"})
        if spelled and default <= {*account} and (same_names or not {"Tier", "Size"} & {*account}):
            assert told == finds
