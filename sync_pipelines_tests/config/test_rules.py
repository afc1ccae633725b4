"""A rule is written in one form everywhere, and read back as the same rule."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.config.rules import rule_from, rules_from, written_rule, written_rules
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Transform

VALUES = {"A": "gold", "B": None}


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("Tier__c", FieldRule(sources=("Tier__c",))),
        ({"source": "Owner.Name"}, FieldRule(sources=("Owner.Name",))),
        ({"sources": ["Tier__c"]}, FieldRule(sources=("Tier__c",))),
        (
            {"source": "ARR__c", "transform": "number_to_currency"},
            FieldRule(sources=("ARR__c",), transforms=(Transform(name="number_to_currency"),)),
        ),
        (
            {"source": "Tier__c", "transform": {"name": "value_mapping", "values": VALUES, "otherwise": "keep"}},
            FieldRule(
                sources=("Tier__c",),
                transforms=(Transform(name="value_mapping", options={"values": VALUES, "otherwise": "keep"}),),
            ),
        ),
        (
            {"sources": ["City", "Street"], "transform": [{"name": "concatenate", "separator": ", "}, "mask"]},
            FieldRule(
                sources=("City", "Street"),
                transforms=(Transform(name="concatenate", options={"separator": ", "}), Transform(name="mask")),
            ),
        ),
    ],
)
def test_every_form_is_read(written, rule):
    assert rule_from(written) == rule
    assert rule_from(written_rule(rule)) == rule
    assert rule_from(rule) is rule


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "at least 1 character"),
        (7, "valid dictionary"),
        (None, "valid dictionary"),
        ({}, "`source`|source"),
        ({"source": "A", "sources": ["B"]}, "keep one"),
        ({"sources": []}, "at least 1 item"),
        ({"sources": ["A", "B"]}, "add a `transform`"),
        ({"source": "A\nB"}, "control characters"),
        ({"source": "A", "transform": {"values": {}}}, "transform.0.name"),
        ({"source": "A", "transform": ["a", 3]}, "transform.1"),
        ({"source": "A", "transform": [{"name": "x"}] * 51}, "at most 20"),
        ({"source": "A", "transfrom": "x"}, "transfrom"),
        ({"source": "A", "transform": {"name": "x", "odd": object()}}, "transform.0.odd"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_to_write(written, told):
    with pytest.raises(ConfigurationError, match=told) as refused:
        rules_from({"tier": written})
    assert str(refused.value).startswith("tier: This is not a rule")
    assert "Write the vendor's field" in str(refused.value)


def test_keys_and_dates_of_yaml_become_those_of_json():
    written = yaml.safe_load("{source: A, transform: {name: x, values: {3: a, yes: b, 2.5: c}, since: 2026-05-01}}")
    (step,) = rule_from(written).transforms
    assert step.options == {"values": {"3": "a", "true": "b", "2.5": "c"}, "since": "2026-05-01"}


@pytest.mark.parametrize("option", ["a\0b", "\ud800", float("nan"), [{"a": float("inf")}]])
def test_an_option_that_no_database_keeps_is_refused(option):
    with pytest.raises(ConfigurationError, match="no JSON value"):
        rule_from({"source": "A", "transform": {"name": "x", "option": option}})


@pytest.mark.parametrize("name", ["", "a\x00b", "line\nbreak"])
def test_a_field_of_a_mapping_needs_a_plain_name(name):
    with pytest.raises(ConfigurationError, match="control characters"):
        rules_from({name: "Tier__c"})


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
options = st.dictionaries(names.filter(lambda name: name != "name"), values, max_size=3)
steps = st.lists(st.builds(Transform, name=names, options=options), min_size=1, max_size=3).map(tuple)
plain_rules = st.builds(FieldRule, sources=st.tuples(names))
made_rules = st.builds(FieldRule, sources=st.lists(names, min_size=1, max_size=3).map(tuple), transforms=steps)


@given(st.dictionaries(names, plain_rules | made_rules, max_size=4))
def test_rules_come_back_from_json_and_yaml_as_they_were(rules):
    written = written_rules(rules)
    assert rules_from(json.loads(json.dumps(written))) == rules
    assert rules_from(yaml.safe_load(yaml.safe_dump(written, allow_unicode=True))) == rules
    assert written_rules(rules_from(written)) == written


@given(values)
def test_whatever_is_written_is_a_rule_or_told_to_be_none(written):
    try:
        rule = rule_from(written)
    except ConfigurationError:
        return
    assert rule_from(written_rule(rule)) == rule
