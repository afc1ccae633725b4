"""A destination of each kind, empty; every contract test runs against all of them."""

from datetime import timedelta

import pytest

from sync_pipelines.config import DestinationConfig, S3DestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, PARTITIONED, ignore, load, rows, scope

NO_TIME = timedelta(0)


@pytest.fixture
def postgres_config(database):
    def config(**changes):
        values = {
            "name": "warehouse",
            "host": database.host,
            "port": database.port,
            "database": database.name,
            "schema_name": "crm",
            "user": database.user,
            "password": Secret(""),
        }
        return DestinationConfig(**values | changes)

    return config


@pytest.fixture
def folder_config(tmp_path):
    def config(**changes):
        return S3DestinationConfig(**{"name": "lake", "folder": str(tmp_path / "lake"), "grace": NO_TIME} | changes)

    return config


@pytest.fixture
def lines_config(folder_config):
    def config(**changes):
        return folder_config(**{"format": "jsonl", "compression": "gzip"} | changes)

    return config


@pytest.fixture
def bucket_config(bucket):
    def config(**changes):
        return S3DestinationConfig(**bucket.configuration | {"name": "lake", "prefix": "crm"} | changes)

    return config


@pytest.fixture
def config_of_kind(request, destination_kind):
    kind = destination_kind.replace("partitioned", "postgres")
    return request.getfixturevalue(f"{kind}_config")


@pytest.fixture
def is_empty(request, destination_kind):
    """Tells whether the destination holds nothing at all."""
    if destination_kind == "bucket":
        return lambda: not request.getfixturevalue("bucket").list()
    if destination_kind in ("folder", "lines"):
        return lambda: not list(request.getfixturevalue("tmp_path").iterdir())
    return lambda: request.getfixturevalue("sql")("SELECT to_regnamespace('crm') IS NULL") == [(True,)]


@pytest.fixture
def open_again(config_of_kind):
    """Opens further destinations, as other processes would; closes them at the end."""
    opened = []

    def make(customer_id="acme", **changes):
        destination = open_destination(config_of_kind(**changes), customer_id)
        opened.append(destination)
        return destination

    yield make
    for destination in opened:
        destination.close()


@pytest.fixture(params=["postgres"])
def destination_kind(request):
    return request.param


@pytest.fixture
def destination(request, destination_kind, open_again):
    opened = open_again()
    if destination_kind == "partitioned":
        with opened.open(scope("somebody else"), CONTACTS, "run-0", ignore) as landing:
            load(landing, rows(1, 2), DONE)
        request.getfixturevalue("sql")(PARTITIONED)
    return opened


@pytest.fixture
def landing(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        yield landing


@pytest.fixture
def sql(database):
    """Runs a statement in the destination's database and gives its rows."""
    with database.connect() as connection:

        def run(statement, *parameters):
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount

        yield run
