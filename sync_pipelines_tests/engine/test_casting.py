"""Values of vendors into column types."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.engine.casting import CASTS, Misfit, json_number


@pytest.mark.parametrize(
    ("column_type", "value", "expected"),
    [
        ("text", "as it is ", "as it is "),
        ("text", True, "true"),
        ("text", Decimal("1.25E+6"), "1250000"),
        ("text", ["a", 1], '["a",1]'),
        ("numeric", "12.50", Decimal("12.50")),
        ("numeric", " 7 ", Decimal(7)),
        ("numeric", "", None),
        ("numeric", "1e3", Decimal("1e3")),
        ("numeric", Decimal("1234567890123456.78"), Decimal("1234567890123456.78")),
        ("bigint", "42", 42),
        ("bigint", Decimal("42.0"), 42),
        ("bigint", -(2**63), -(2**63)),
        ("boolean", "true", True),
        ("boolean", "No", False),
        ("boolean", 1, True),
        ("boolean", "", None),
        ("timestamptz", "2026-05-01T07:25:37.000+0000", datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)),
        ("timestamptz", "2026-05-01T07:25:37.123Z", datetime(2026, 5, 1, 7, 25, 37, 123000, tzinfo=UTC)),
        ("timestamptz", "2026-05-01T09:25:37+02:00", datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)),
        ("timestamptz", "2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("timestamptz", "1777620337000", datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)),
        ("timestamptz", 1777620337000, datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)),
        ("timestamptz", -1777620337000, datetime(1913, 9, 2, 16, 34, 23, tzinfo=UTC)),
        ("date", "2026-05-01", date(2026, 5, 1)),
        ("date", 1777620337000, date(2026, 5, 1)),
        ("date", "2026-05-01T23:30:00-04:00", date(2026, 5, 2)),
        ("date", "20260501", date(2026, 5, 1)),
        ("jsonb", {"a": [1, None]}, b'{"a":[1,null]}'),
    ],
)
def test_a_value_that_fits_is_cast(column_type, value, expected):
    assert CASTS[column_type].value(value) == expected


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        ("numeric", "about 12"),
        ("numeric", "$1,200.50"),
        ("numeric", "1,200"),
        ("numeric", "NaN"),
        ("numeric", "Infinity"),
        ("numeric", "1e99999"),
        ("numeric", "٣"),
        ("numeric", True),
        ("numeric", ["1"]),
        ("bigint", "1.5"),
        ("bigint", 2**63),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("timestamptz", "01/05/2026"),
        ("timestamptz", "May 1, 2026"),
        ("timestamptz", "1.5.2026"),
        ("timestamptz", "2026-13-01"),
        ("timestamptz", "99999999999999"[:14] + "9" * 3),
        ("timestamptz", "9999-12-31T23:59:59-10:00"),
        ("timestamptz", True),
        ("date", "next week"),
        ("date", 0),
        ("date", 12),
        ("date", -99_999_999),
        ("date", 10**14),
        ("date", 20260501),
        ("timestamptz", 4711),
    ],
)
def test_a_value_that_does_not_fit_says_why(column_type, value):
    with pytest.raises(Misfit, match=r"^(is|has) "):
        CASTS[column_type].value(value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(CASTS)), JSON_VALUES.filter(lambda value: value is not None))
def test_a_cast_gives_a_value_or_a_misfit_and_nothing_else(column_type, value):
    try:
        CASTS[column_type].value(value)
    except Misfit:
        return


@given(st.sampled_from(sorted(CASTS)), st.lists(JSON_VALUES, max_size=4))
def test_a_column_is_cast_as_its_values_are(column_type, values):
    cast = CASTS[column_type]
    try:
        one_by_one = [None if value is None else cast.value(value) for value in values]
    except Misfit:
        with pytest.raises(Misfit):
            cast.column(values)
    else:
        assert list(cast.column(values)) == one_by_one


def cast_or_misfit(column_type, value):
    try:
        return CASTS[column_type].value(value)
    except Misfit:
        return Misfit


COMPACT_DAYS = range(10_000_000, 100_000_000)
"""As texts these are days, such as 20260501."""


@given(
    st.sampled_from(["timestamptz", "date"]),
    (st.integers() | st.integers(-(10**15), 10**15)).filter(lambda number: abs(number) not in COMPACT_DAYS),
)
def test_a_whole_number_is_a_moment_exactly_where_its_text_is_one(column_type, number):
    assert cast_or_misfit(column_type, number) == cast_or_misfit(column_type, str(number))


@given(st.integers(-(10**8) + 1, 10**8 - 1))
def test_an_amount_on_a_date_is_not_1970(number):
    assert cast_or_misfit("date", number) is Misfit


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_spellings_of_one_number_are_one_number(number):
    assert json_number(str(number)) == number
    assert json_number(f"{number:f}") == json_number(f"{number:E}")
    assert type(json_number(f"{number:f}")) is type(json_number(f"{number:E}"))
