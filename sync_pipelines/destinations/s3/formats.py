"""Data files as Parquet and as lines of JSON."""

import io
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
from pyarrow import parquet

from sync_pipelines.destinations.s3.layout import Layout, schema_of
from sync_pipelines.destinations.s3.manifest import File
from sync_pipelines.destinations.s3.values import in_layout, table_of
from sync_pipelines.model.common_model import Column

GROUP_ROWS: Final = 20_000
"""Rows of one group in a Parquet file: so many are in memory while a file is written or read."""

_JSON_TYPES: Final[dict[str, Any]] = {
    "text": str,
    "numeric": Decimal,
    "bigint": int,
    "boolean": bool,
    "timestamptz": datetime,
    "date": date,
    "jsonb": msgspec.Raw,
}
_SUFFIXES: Final = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_encode_line = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Format:
    """`name`: parquet or jsonl. `compression`: none, gzip or zstd."""

    name: str
    compression: str

    @property
    def suffix(self) -> str:
        return "parquet" if self.name == "parquet" else f"jsonl{_SUFFIXES[self.compression]}"

    def write(self, file: IO[bytes], layout: Layout, tables: Iterable[pa.Table]) -> None:
        if self.name == "parquet":
            _write_parquet(file, layout, tables, self.compression)
        else:
            _write_lines(file, layout, tables, self.compression)


def read(file: File, content: bytes, layout: Layout, rows: Sequence[int] | None = None) -> Iterator[pa.Table]:
    """A data file's rows of these numbers (ascending; None: all) with the layout's columns, group by group."""
    tables = _read_parquet(content, rows) if file.key.endswith(".parquet") else _read_lines(file, content, layout, rows)
    for table in tables:
        yield in_layout(table, layout, file.names)


def _read_lines(file: File, content: bytes, layout: Layout, rows: Sequence[int] | None) -> Iterator[pa.Table]:
    columns = layout.called_by(file.names)
    ending = next((name for name, suffix in _SUFFIXES.items() if suffix and file.key.endswith(suffix)), None)
    with pa.input_stream(io.BytesIO(content), compression=ending) as stream:
        lines = stream.read().splitlines()
    wanted = lines if rows is None else [lines[row] for row in rows]
    for start in range(0, len(wanted), GROUP_ROWS):
        yield _of_lines(b"\n".join(wanted[start : start + GROUP_ROWS]), columns)


def _read_parquet(content: bytes, rows: Sequence[int] | None) -> Iterator[pa.Table]:
    with parquet.ParquetFile(io.BytesIO(content)) as file:
        first = start = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            if rows is None:
                yield file.read_row_group(group)
            elif (stop := bisect_left(rows, end, start)) > start:
                yield file.read_row_group(group).take([row - first for row in rows[start:stop]])
                start = stop
            first = end


def _write_parquet(file: IO[bytes], layout: Layout, tables: Iterable[pa.Table], compression: str) -> None:
    with parquet.ParquetWriter(file, layout.schema, compression=compression) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=GROUP_ROWS)


def _write_lines(file: IO[bytes], layout: Layout, tables: Iterable[pa.Table], compression: str) -> None:
    makers = [(column.name, _JSON_MAKERS.get(column.type)) for column in layout.columns]
    with pa.output_stream(_Unclosed(file), compression=None if compression == "none" else compression) as stream:
        for table in tables:
            for start in range(0, table.num_rows, GROUP_ROWS):
                columns = [column.to_pylist() for column in table.slice(start, GROUP_ROWS).columns]
                for values in zip(*columns, strict=True):
                    line = {
                        name: maker(value) if maker else value
                        for (name, maker), value in zip(makers, values, strict=True)
                        if value is not None
                    }
                    stream.write(_encode_line(line) + b"\n")


def _json(text: str) -> msgspec.Raw:
    # A line break may stand between the parts of a document, never inside of one: there it is written as \n.
    return msgspec.Raw(text.replace("\r", " ").replace("\n", " ").encode())


_JSON_MAKERS: Final[dict[str, Callable[[Any], Any]]] = {"jsonb": _json}


def _of_lines(content: bytes, columns: Sequence[Column]) -> pa.Table:
    lines = _decoder(columns).decode_lines(content)
    documents = [place for place, column in enumerate(columns) if column.type == "jsonb"]
    rows = []
    for line in lines:
        row = list(msgspec.structs.astuple(line))
        for place in documents:
            if row[place] is not None:
                row[place] = bytes(row[place]).decode()
        rows.append(tuple(row))
    return table_of(columns, schema_of(columns), rows)


def _decoder(columns: Sequence[Column]) -> msgspec.json.Decoder[Any]:
    names = {f"c{place}": column.name for place, column in enumerate(columns)}
    fields: list[tuple[str, Any, Any]] = []
    for place, column in enumerate(columns):
        kind = _JSON_TYPES[column.type]
        # Of a document `null` is a value too: it is told apart from a document that is not there.
        fields.append((f"c{place}", kind if kind is msgspec.Raw else kind | None, None))
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=names))


class _Unclosed(io.RawIOBase):
    """Writes into a file that stays open when Arrow closes its stream."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._file.write(content)
