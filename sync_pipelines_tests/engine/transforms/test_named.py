"""The named transforms, beyond their examples: what fits, what does not, and what is refused when it is saved."""

from decimal import Decimal

import phonenumbers
import pytest
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms import KINDS, check_transforms, compile_transforms, marks_of
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform
from sync_pipelines.model.secret import Secret

KEY = Secret("the key of these tests")


def compiled(name, sources=1, **options):
    return compile_transforms([Transform(name=name, options=options)], sources, hash_key=KEY)


def made(transform, *values, sources=None, **options):
    return compiled(transform, sources or len(values), **options).value(*values)


def misfit(name, *values, **options):
    with pytest.raises(Misfit) as told:
        made(name, *values, **options)
    return str(told.value)


def refusal(transform, sources=1, **options):
    with pytest.raises(ConfigurationError) as told:
        compile_transforms([Transform(name=transform, options=options)], sources)
    return str(told.value)


def test_the_names_that_are_printed_elsewhere_are_all_there():
    assert {"none", "number_to_currency", "date_to_iso", "boolean_to_string", "custom"} <= set(KINDS)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"default_value", "template"}))
def test_null_stays_null(name):
    options = dict(next(iter(KINDS[name].examples)).options)
    if name in ("custom", "calculation"):
        options = {"expression": "value"}
    assert made(name, None, **options) is None


AMOUNTS = st.decimals(-(10**14), 10**14, places=3, allow_nan=False)


@given(AMOUNTS, st.sampled_from(["USD", "EUR", "JPY", "KWD", "INR", "CHF", "BRL"]))
def test_money_is_written_as_babel_writes_it(amount, currency):
    cents = {"JPY": "1", "KWD": "0.001"}.get(currency, "0.01")
    rounded = amount.quantize(Decimal(cents), "ROUND_HALF_UP") or Decimal(0)
    for locale in ("en_US", "de_DE", "fr_FR", "de_CH", "en_IN", "nl_NL", "pt_BR", "ja_JP"):
        ours = made("number_to_currency", amount, currency=currency, locale=locale)
        assert ours == format_currency(rounded, currency, locale=locale)


def test_money_is_exact_whatever_its_size():
    assert made("number_to_currency", Decimal("1e30")) == "$1" + ",000" * 10 + ".00"
    assert made("number_to_currency", Decimal("0.004999999999999999999999999999")) == "$0.00"
    assert made("number_to_currency", Decimal("-0.004")) == "$0.00"
    assert made("number_to_currency", "") is None
    assert "not a plain number" in misfit("number_to_currency", "about 5")
    assert "true or false" in misfit("number_to_currency", True)


NUMBERS = st.one_of(
    st.from_regex(r"\A(\+1[ .-]?)?\(?[2-9][0-9]{2}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}\Z"),
    st.from_regex(r"\A\+?[0-9 ()./-]{4,18}\Z"),
    st.builds(
        "+{}{}{}{}".format,
        st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
        st.sampled_from(["", " ", "-", " (0)"]),
        st.from_regex(r"\A[0-9]{2,6}\Z"),
        st.from_regex(r"\A[ .()/-]?[0-9]{2,9}\Z"),
    ),
    st.sampled_from(
        ["+44 20 7946 0018", "+39 06 698 12345", "+49 (0)30 901820", "1-800-FLOWERS", "911", "+1 415 555 0132 x9"]
    ),
)


@given(NUMBERS, st.sampled_from(["US", "CA", "DE", None]), st.sampled_from(["E164", "national", "international"]))
def test_telephone_numbers_are_as_the_library_has_them(text, region, spelling):
    try:
        number = phonenumbers.parse(text, region)
        expected = phonenumbers.format_number(number, getattr(phonenumbers.PhoneNumberFormat, spelling.upper()))
        fits = phonenumbers.is_possible_number(number)
    except phonenumbers.NumberParseException:
        fits = False
    transform = compiled("format_phone", format=spelling, **({"region": region} if region else {}))
    if fits:
        assert transform.value(text) == expected
    else:
        with pytest.raises(Misfit, match="telephone number"):
            transform.value(text)


def test_a_telephone_number_may_have_to_be_one_that_is_given_out():
    assert made("format_phone", "+1 555 555 5555") == "+15555555555"
    assert misfit("format_phone", "+1 555 555 5555", check="valid") == "is not a valid telephone number"
    assert "option region" in misfit("format_phone", "030 901820")


def test_dates_are_read_in_their_zone_and_bare_dates_stay_that_date():
    assert made("date_to_iso", "2026-03-29T02:30:00", from_zone="Europe/Berlin") == "2026-03-29T01:30:00Z"
    assert made("date_to_iso", "2026-05-01T00:30:00.123+02:00") == "2026-04-30T22:30:00.123000Z"
    assert made("date_to_iso", "1777620337000") == "2026-05-01T07:25:37Z"
    assert made("format_date", "2026-05-01", to="%d/%m/%Y", to_zone="Pacific/Auckland") == "01/05/2026"
    assert made("format_date", "0999-05-01", to="%Y %y") == "0999 99"
    assert made("format_date", "20260501", to="%d.%m.%Y", to_zone="America/New_York") == "01.05.2026"
    assert made("date_to_iso", "20260501", from_zone="Asia/Tokyo") == "2026-05-01"
    assert made("date_to_iso", "31/12/2026", **{"from": ["%m/%d/%Y", "%d/%m/%Y"]}) == "2026-12-31"
    assert misfit("date_to_iso", "2026-12-31", **{"from": "%d/%m/%Y"}) == "is not written as %d/%m/%Y"
    assert "ISO 8601" in misfit("date_to_iso", "03/04/2026")
    assert "years 1 to 9999" in misfit("format_date", "9999-12-31T23:00:00Z", to="%Y", to_zone="Asia/Tokyo")


def test_choices_are_found_by_their_text():
    yes_or_no = {"values": {True: "on", "2": "two", 3: "three"}, "otherwise": "misfit"}
    assert [made("value_mapping", value, **yes_or_no) for value in (True, 2, "3")] == ["on", "two", "three"]
    assert "none of the values" in misfit("value_mapping", "4", **yes_or_no)
    assert made("value_mapping", "x", values={"x": None}) is None


def test_the_first_source_that_has_a_value_counts():
    assert made("default_value", None, "", 0, value="-") == 0
    assert made("default_value", None, "", value="-") == "-"
    assert made("default_value", "", value="-", empty=False) == ""


def test_lists():
    assert made("array_to_text", "already;text") == "already;text"
    assert made("array_to_text", [None]) is None
    assert misfit("array_to_text", {"a": 1}) == "is not an array"
    assert made("nested_path", {"a": [{"b": None}]}, path="a[0].b.c") is None
    assert made("nested_path", [1, 2], path="[-1]") == 2
    assert misfit("nested_path", "{", path="a", decode=True) == "is not JSON"
    assert "NUL" in misfit("nested_path", '{"a": "\\u0000"}', path="a", decode=True)


def test_a_hash_has_a_key_and_stays_with_it():
    one = made("hash", "ada@acme.example")
    assert one == made("hash", " ada@acme.example ")
    assert one != made("hash", "ADA@acme.example") != made("hash", "ADA@acme.example", lowercase=True) == one
    other = compile_transforms([Transform(name="hash")], 1, hash_key=Secret("another key"))
    assert other.value("ada@acme.example") != one
    assert "SYNC_PIPELINES_HASH_KEY" in refusal("hash")
    check_transforms([Transform(name="hash")], 1, "text", hash_key=Secret("x"))


def test_another_key_is_another_mark_and_tells_nothing_of_it():
    (mark,) = marks_of([Transform(name="hash")], KEY)
    assert [mark] != marks_of([Transform(name="hash")], Secret("another key"))
    assert KEY.reveal() not in mark
    assert marks_of([Transform(name="mask")], KEY) == []


def test_a_mask_never_shows_a_whole_value():
    assert made("mask", "1234567", first=3, last=3) == "123*567"
    assert made("mask", "123456", first=3, last=3) == "******"
    assert made("mask", "12", first=3, last=3, length=5) == "*****"
    assert made("mask", 4111111111111111, last=4) == "************1111"


def test_refusals_say_what_to_do():
    assert "Did you mean" in refusal("number_to_curency")
    assert "needs the option separator: the text at which the value is split" in refusal("split", index=0)
    assert "Take it out; it takes empty, value" in refusal("default_value", value=1, vlaue=2)
    assert "it takes no options" in refusal("none", value=1)
    assert "must be 'E164', 'international' or 'national'" in refusal("format_phone", format="e164")
    with pytest.raises(ConfigurationError, match="2 sources need a transform"):
        compile_transforms([], 2)
    assert "takes one source, not 2" in refusal("mask", sources=2)
    assert "write both or neither" in refusal("value_mapping", values={"a": 1}, default=2)
    assert "%Q" in refusal("format_date", to="%Q")
    assert "NUL" in refusal("concatenate", separator="\x00")
    with pytest.raises(ConfigurationError, match="at most 20 transforms"):
        compile_transforms([Transform(name="none")] * 21, 1)


def test_a_result_must_suit_its_column():
    check_transforms([Transform(name="number_to_currency")], 1, "text", hash_key=None)
    with pytest.raises(ConfigurationError, match=r"does not give what a column of type numeric holds.*jsonb, text"):
        check_transforms([Transform(name="number_to_currency")], ["Amount"], "numeric", hash_key=None)
    back = Transform(name="custom", options={"expression": "number(replace(value, '$', ''))"})
    check_transforms([Transform(name="number_to_currency"), back], ["Amount"], "numeric", hash_key=None)


def test_numbers_in_options_are_exact():
    assert made("default_value", None, value=0.1) == Decimal("0.1")


def test_names_of_sources_are_known_in_the_first_transform_only():
    first = Transform(name="custom", options={"expression": "field('Owner.Name') + Tier"})
    then = Transform(name="custom", options={"expression": "upper(value)"})
    assert compile_transforms([first, then], ["Owner.Name", "Tier"]).value("ada ", "gold") == "ADA GOLD"
    with pytest.raises(ConfigurationError, match=r"does not know the name Tier\. It knows value"):
        compile_transforms([first, Transform(name="custom", options={"expression": "Tier"})], ["Owner.Name", "Tier"])


def test_templates_know_nested_names_and_rows():
    template = {"template": "{{ Owner.Name }} {{ row['Owner.Name'] }} {{ Other | default: '-' }}"}
    assert made("template", "Ada", None, sources=["Owner.Name", "Other"], **template) == "Ada Ada -"
    assert made("template", 10, template="{{ value | times: 1.5 }} {{ value | divided_by: 4 }}") == "15.0 2"
    assert made("template", Decimal("1E+20"), template="{{ value }}") == "100000000000000000000"
    assert made("template", "2026-05-01T22:30:00Z", template="{{ value | date: '%d.%m.%Y' }}") == "01.05.2026"
    assert "ISO 8601" in misfit("template", "x", template="{{ 'now' | date: '%Y' }}")


@pytest.mark.parametrize(
    ("name", "options", "kind", "told"),
    [
        ("default_value", {"value": "unknown"}, "numeric", "default_value: unknown is not a plain number"),
        ("value_mapping", {"values": {"Gold": 1, "Tin": "low"}}, "bigint", "value_mapping: low "),
        (
            "value_mapping",
            {"values": {"a": "2026-05-01"}, "otherwise": "default", "default": "no day"},
            "date",
            "no day ",
        ),
    ],
)
def test_what_is_written_in_a_rule_must_suit_its_column_too(name, options, kind, told):
    written = [Transform(name=name, options=options), Transform(name="none")]
    with pytest.raises(ConfigurationError, match=told):
        check_transforms(written, 1, kind, hash_key=None)
    check_transforms(written, 1, "text", hash_key=None)
    check_transforms([*written, Transform(name="custom", options={"expression": "1"})], 1, kind, hash_key=None)


def test_nothing_but_none_is_no_transform():
    check_transforms([Transform(name="none")], 1, "date", hash_key=None)


def test_a_hash_without_a_key_is_refused_when_it_is_written():
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_HASH_KEY"):
        check_transforms([Transform(name="hash")], 1, "text", hash_key=None)
