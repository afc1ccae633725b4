"""Reads the files of a destination as people do: with the line for DuckDB that docs/s3.md prints."""

import re
from pathlib import Path

import duckdb
import pyarrow.fs
from fsspec.implementations.arrow import ArrowFSWrapper

from sync_pipelines_tests.fixtures.bucket import KEY, KEY_ID

DOCUMENT = Path(__file__).parents[2] / "docs" / "s3.md"
PRINTED_AT = "s3://my-bucket/crm"


def printed_line(reader):
    """The statement of the document whose fenced block begins with a comment that names the reader."""
    blocks = re.findall(rf"```sql\n-- {reader}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (line,) = blocks
    return line.strip()


def latest(root, table="crm_contact", reader="DuckDB", filesystem=None):
    """Rows of the latest view, as dictionaries. `root`: what stands in front of the table's folder."""
    with duckdb.connect() as connection:
        if filesystem is not None:
            connection.register_filesystem(filesystem)
            # DuckDB's threads share a file of Python's, and move its position between each other's seek and read.
            connection.execute("SET threads = 1")
        connection.execute("SET TimeZone = 'UTC'")
        statement = printed_line(reader).replace(PRINTED_AT, str(root)).replace("crm_contact", table)
        connection.execute(statement)
        found = connection.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


class OnLoopback(ArrowFSWrapper):
    """DuckDB's own client for S3 is an extension that it downloads; Arrow's is at hand."""

    protocol = "s3"


def filesystem_of(bucket):
    host = bucket.endpoint_url.removeprefix("http://")
    return OnLoopback(
        pyarrow.fs.S3FileSystem(
            access_key=KEY_ID, secret_key=KEY, endpoint_override=host, scheme="http", region="us-east-1"
        )
    )
