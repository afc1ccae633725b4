"""Bulk's CSV into records: whatever the cells hold, nothing moves to another row or column."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.model.errors import VendorError
from sync_pipelines.model.flow import Response
from sync_pipelines.model.provider import VendorField
from sync_pipelines.providers.salesforce.bulk import ENCODED_TOGETHER, records_from_csv

NAMES = ("Id", "Name", "Note")
FIELDS = [VendorField(name="Name"), VendorField(name="Note")]
AWKWARD = ['"', '","', '",', ',"', "\n", "\r", "\r\n", ",", "\\", "a", "é", "\u2028", "\x00", "null", "[]"]
CELLS = st.lists(st.sampled_from(AWKWARD) | st.text(max_size=3), max_size=6).map("".join)


def page(rows, quoting=csv.QUOTE_ALL, ending="\n"):
    """An answer that says what it holds."""
    told = io.StringIO()
    csv.writer(told, quoting=quoting, lineterminator=ending).writerows([NAMES, *rows])
    headers = {"content-type": "text/csv", "sforce-numberofrecords": str(len(rows))}
    return Response(200, headers, told.getvalue().encode("utf-8", "replace"))


def read(answer):
    return [tuple(json.loads(text)[name] for name in NAMES) for text in records_from_csv(answer, FIELDS)]


@given(
    st.lists(st.tuples(st.text("0123456789", min_size=1, max_size=3), CELLS, CELLS), max_size=8),
    # Where not all is quoted, a writer quotes an end of line only if it is its own.
    st.sampled_from([(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]),
)
def test_every_cell_comes_back_in_its_row(rows, spelling):
    expected = [tuple(cell.encode("utf-8", "replace").decode() or None for cell in row) for row in rows]
    assert read(page(rows, *spelling)) == expected


@pytest.mark.parametrize("amount", [0, 1, ENCODED_TOGETHER - 1, ENCODED_TOGETHER, ENCODED_TOGETHER + 1, 1234])
def test_any_number_of_rows_keeps_its_order(amount):
    rows = [(str(n), "x" * (n % 3), 'a "b"\nc' if n % 7 == 0 else "plain") for n in range(amount)]
    assert [id for id, _, _ in read(page(rows))] == [id for id, _, _ in rows]


@pytest.mark.parametrize(
    "row",
    ['"1","a"', '"1","a","b","c"', '"1","a","b', '"1","a"",""b"', '"1,"a","b"', '"1""","a"'],
)
def test_a_row_of_another_width_or_without_its_end_is_refused(row):
    body = '"Id","Name","Note"\n"0","x","y"\n' + row
    with pytest.raises(VendorError, match="broken or cut off"):
        records_from_csv(Response(200, {"content-type": "text/csv"}, body.encode()), FIELDS)
