"""A destination of each kind, empty; every contract test runs against all of them."""

import pytest

from sync_pipelines.config import DestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.destinations.cases import CONTACTS, ignore, scope


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
def open_again(postgres_config):
    """Opens further destinations, as other processes would; closes them at the end."""
    opened = []

    def make(customer_id="acme", **changes):
        destination = open_destination(postgres_config(**changes), customer_id)
        opened.append(destination)
        return destination

    yield make
    for destination in opened:
        destination.close()


@pytest.fixture(params=["postgres"])
def destination_kind(request):
    return request.param


@pytest.fixture
def destination(destination_kind, open_again):
    return {"postgres": open_again}[destination_kind]()


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
