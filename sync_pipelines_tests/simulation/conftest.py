import pytest

from sync_pipelines_tests.simulation.ground import ground_on, url_of


@pytest.fixture(scope="module")
def ground(postgres_server):
    """Shared by all lives of a module."""
    with ground_on(url_of(postgres_server), postgres_server.host) as made:
        yield made
