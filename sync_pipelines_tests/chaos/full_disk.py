"""A disk that is full under one table: a real one where we may mount it, else a server that says so."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg

SIZE = 64 * 1024 * 1024

REFUSE = """
CREATE FUNCTION public.disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$
"""


@contextmanager
def full_disk(server, database, table):
    """For the time of the block, `table` cannot grow. Nobody may be writing to it at either end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="sync-pipelines-full-", dir=server.folder))
    mounted = _mounted(folder)
    filled = _filled_disk if mounted else _refusing_server
    try:
        connecting = psycopg.connect(server.url(database, None), autocommit=True)
        with connecting as connection, filled(connection, table, folder):
            yield
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def _mounted(folder):
    """Whether a small disk is there now. Only root may do that, and not everywhere."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def _filled_disk(connection, table, folder):
    (folder / "tablespace").mkdir(mode=0o700)
    connection.execute(f"CREATE TABLESPACE small LOCATION '{folder / 'tablespace'}'")
    connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")
    connection.execute(f"VACUUM FULL {table}")  # leaves no room in the table's own pages
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    try:
        yield
    finally:
        (folder / "filler").unlink()
        connection.execute(f"ALTER TABLE {table} SET TABLESPACE pg_default")
        connection.execute("DROP TABLESPACE small")


@contextmanager
def _refusing_server(connection, table, folder):
    connection.execute(REFUSE)
    connection.execute(
        f"CREATE TRIGGER disk_is_full BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION public.disk_is_full()"
    )
    try:
        yield
    finally:
        connection.execute(f"DROP TRIGGER disk_is_full ON {table}")
        connection.execute("DROP FUNCTION public.disk_is_full()")
