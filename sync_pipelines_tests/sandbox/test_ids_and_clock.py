import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.sandbox import clock
from sync_pipelines.sandbox.ids import checksum, salesforce_id, salesforce_number


@given(st.integers(0, 62**7 - 1), st.integers(0, 62**7 - 1))
def test_ids_order_as_their_numbers(one, other):
    first, second = salesforce_id("003Hs000", one), salesforce_id("003Hs000", other)
    assert (first < second) == (one < other)
    assert salesforce_number("003Hs000", first) == one == salesforce_number("003Hs000", first[:15])


def test_the_checksum_tells_ids_apart_that_differ_by_case():
    assert checksum("001A0000006Vm9r") == "IAC"
    assert checksum("a" * 15) == "AAA"
    assert checksum("A" * 15) == "555"


def test_another_prefix_is_no_id_of_ours():
    assert salesforce_number("003Hs000", salesforce_id("001Hs000", 5)) is None
    assert salesforce_number("003Hs000", "003Hs000000-000") is None
    assert salesforce_number("003Hs000", "003") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01T07:25:37.123Z", 1_777_620_337_123),
        ("2026-05-01T07:25:37.000+0000", 1_777_620_337_000),
        ("1777620337123", 1_777_620_337_123),
        ("2026-05-01", 1_777_593_600_000),
    ],
)
def test_times_are_understood(text, moment):
    assert clock.parse(text) == moment


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_so_that_they_read_back(moment):
    assert clock.parse(clock.iso(moment)) == moment
    assert clock.parse(clock.salesforce_iso(moment)) == moment // 1000 * 1000
    assert clock.parse(clock.soql_iso(moment)) == moment // 1000 * 1000


def test_a_frozen_clock_stands_and_goes_on_from_there():
    ours = clock.Clock.beginning_at(1_000_000)
    ours.freeze()
    ours.set(5_000)
    assert ours.now() == 5_000
    ours.advance(10)
    assert ours.now() == 5_010
    ours.thaw()
    assert 5_010 <= ours.now() < 65_010
