"""Any rule with any record: nothing raises, nothing is lost, no other column changes, again is the same."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_pipelines.engine.casting import Misfit, json_number
from sync_pipelines.engine.extracting import at_path
from sync_pipelines.engine.mapping import CustomColumn, RecordMapper
from sync_pipelines.engine.transforms import KINDS, compile_transforms
from sync_pipelines.engine.transforms.developer import developers_kind
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ROW_HEAD
from sync_pipelines.model.mapping import FieldRule, Transform
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.own_transforms import transform

KEY = Secret("the key of these tests")
FIELDS = ("Amount", "Name", "Active", "Tags", "Owner", "Changed", "Owner.Name")
TYPES = ("text", "numeric", "bigint", "boolean", "timestamptz", "date", "jsonb")
OBJECT = CrmObject(name="Contact", shape=RecordShape(id=("Id",), modified=("SystemModstamp",)))
SCHEMA = ObjectSchema(fields=tuple(VendorField(name=name) for name in FIELDS[:-1]))
REST = {"plain": "Name", "amount": "Amount"}


@transform("properties_halved")
def _halved(column):
    """Fails on everything that is no number."""
    return column / 2


@transform("properties_row", frame=True)
def _row(frame, *, between="-"):
    return frame.apply(lambda row: between.join(str(value).upper() for value in row), axis=1).astype(object)


OPTIONS = {
    "none": st.just({}),
    "number_to_currency": st.sampled_from([{}, {"currency": "JPY", "locale": "de_DE"}, {"precision": 3}]),
    "boolean_to_string": st.sampled_from([{}, {"true": "ja"}]),
    "date_to_iso": st.sampled_from([{}, {"from": "%d/%m/%Y"}, {"from_zone": "America/New_York"}]),
    "format_date": st.sampled_from([{"to": "%d.%m.%Y %H:%M %Z"}, {"to": "%Y", "to_zone": "Asia/Tokyo"}]),
    "format_phone": st.sampled_from([{}, {"region": "US"}, {"region": "DE", "format": "national", "check": "valid"}]),
    "value_mapping": st.sampled_from([{"values": {"a": 1}, "otherwise": way} for way in ("keep", "null", "misfit")]),
    "concatenate": st.sampled_from([{}, {"separator": ";", "skip_empty": False}]),
    "split": st.sampled_from([{"separator": " ", "index": 0}, {"separator": "a", "index": -2, "trim": False}]),
    "default_value": st.sampled_from([{"value": "x"}, {"value": 0.5, "empty": False}]),
    "array_to_text": st.just({}),
    "text_to_array": st.just({}),
    "nested_path": st.sampled_from([{"path": "Name"}, {"path": "[0]"}, {"path": "a.b[1]", "decode": True}]),
    "hash": st.just({}),
    "mask": st.sampled_from([{}, {"first": 1, "last": 2}]),
    "drop": st.just({}),
    "custom": st.sampled_from(
        [{"expression": text} for text in ("null", "[1, 'a']", "text(1) + upper('a')", "1 / 3", "1 / 0")]
    ),
    "calculation": st.just({"expression": "1 + 2", "missing": "zero"}),
    "template": st.sampled_from([{"template": "x"}, {"template": "{% for i in row %}{{ i }}{% endfor %}"}]),
    "properties_halved": st.just({}),
    "properties_row": st.sampled_from([{}, {"between": " "}]),
}
OF_SOURCES = {
    "custom": lambda names: [f"field({name!r}) + field({name!r})" for name in names] + ["field('Name')[0]"],
    "calculation": lambda names: [f"field({name!r}) * 2" for name in names],
}
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "a", "true", "No", "12.50", "2026-05-01", "2026-05-01T10:00:00Z", "01/05/2026", "+1 415 555 0132"]
    ),
)
VALUES = st.recursive(
    st.one_of(
        st.integers(-9, 9),
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, width=32),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["Name", "a", "b"]), inner)),
    max_leaves=4,
)
RECORDS = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[:-1], VALUES)), min_size=1, max_size=5)


def _many(name):
    return (KINDS.get(name) or developers_kind(name)).many and name != "properties_halved"


@st.composite
def rules(draw):
    sources = tuple(draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True)))
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=3))
    if len(sources) > 1:
        names = [name for name in names if _many(name)] or ["concatenate"]
    transforms = []
    for number, name in enumerate(names):
        options = draw(OPTIONS[name])
        if name in OF_SOURCES and number == 0 and draw(st.booleans()):
            known = [source for source in sources if source != "Name"]
            expressions = OF_SOURCES[name](known)[: len(known)] or ["1"]
            options = {"expression": draw(st.sampled_from(expressions))}
        transforms.append(Transform(name=name, options=options))
    return FieldRule(sources=sources, transforms=tuple(transforms))


def test_every_transform_is_tried():
    assert set(KINDS) <= set(OPTIONS)


def _mapped(rule, kind, texts, required=False, carefully=False):
    columns = (Column("amount", "numeric"), Column("made", kind), Column("plain", "text"), Column("raw_data", "jsonb"))
    custom = [CustomColumn(name, FieldRule(sources=(source,))) for name, source in REST.items()]
    if rule is not None:
        custom.append(CustomColumn("made", rule, required))
    mapper = RecordMapper(OBJECT, SCHEMA, columns, common=False, custom=custom, hash_key=KEY)
    mapped = mapper(texts, list(range(len(texts))), carefully=carefully)
    errors, rows = mapped.columns[1], [list(column) for column in mapped.columns[ROW_HEAD:]]
    return rows, [msgspec.json.decode(each) if each else {} for each in errors], mapped.misfits


def _refuses(rule, text):
    """Whether the record's values do not fit the transforms, by the way of one row."""
    record = msgspec.json.Decoder(float_hook=json_number).decode(text)
    values = [at_path(record, tuple(name.split("."))) for name in rule.sources]
    try:
        compile_transforms(rule.transforms, rule.sources, hash_key=KEY).value(*values)
    except Misfit:
        return True
    return False


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rules(), st.sampled_from(TYPES), RECORDS, st.booleans())
def test_any_rule_with_any_record(rule, kind, records, required):
    texts = [msgspec.json.encode({"Id": str(number), **record}) for number, record in enumerate(records)]
    without, errors_without, _ = _mapped(None, kind, texts)
    rows, errors, misfits = _mapped(rule, kind, texts, required)
    assert [len(column) for column in rows] == [len(records)] * 4
    for place in (0, 2, 3):
        assert rows[place] == without[place], "another column changed"
    assert [{**each, "made": None} for each in errors] == [{**each, "made": None} for each in errors_without]
    assert misfits == sum(map(len, errors))
    for value, each in zip(rows[1], errors, strict=True):
        if "made" in each:
            assert value in (None, "", b'""')
            assert each["made"]["field"] == rule.told
            assert each["made"]["reason"].endswith(".")
    for row, (text, each) in enumerate(zip(texts, errors, strict=True)):
        if _refuses(rule, text):
            assert (rows[1][row], "made" in each) == (None, True), "a value that does not fit is lost"
    again = _mapped(rule, kind, texts, required)
    alone = [_mapped(rule, kind, [text], required) for text in texts]
    assert (rows, errors, misfits) == again
    assert rows[1] == [one[0][1][0] for one in alone], "a row depends on its neighbours"
    assert errors == [one[1][0] for one in alone]
    assert (rows, errors, misfits) == _mapped(rule, kind, texts, required, carefully=True)
