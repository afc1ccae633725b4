"""The API served over real HTTP, on a place with two customers."""

from dataclasses import dataclass

import httpx
import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines.store.tokens import SCOPES
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA

PATH = "/api/v1"


@dataclass
class Api:
    """`as_` gives a client with a token of its own."""

    place: object
    url: str

    def token(self, *scopes, **rest):
        return self.place.project.store.tokens.create("test", scopes or tuple(SCOPES), **rest)

    def as_(self, *scopes, **rest):
        _, secret = self.token(*scopes, **rest)
        return self.client(secret.reveal())

    def client(self, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # There is no TLS, and reading the certificates for it takes longer than a call.
        return httpx.Client(base_url=self.url + PATH, headers=headers, timeout=60, verify=False)


@pytest.fixture
def served(place):
    """Serves a place's project as it is then."""
    with_api = []

    def start(**options):
        context = serve(place.project, **options)
        with_api.append(context)
        return Api(place, context.__enter__())

    yield start
    for context in reversed(with_api):
        context.__exit__(None, None, None)


@pytest.fixture
def api(place, served):
    """Two customers of Salesforce, whose contacts were synced once."""
    place.options |= {"api_burst": 5_000, "api_stranger_burst": 5_000}
    place.write_sync(objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}], schedule={"every": "1h"})
    place.connect(ACME, BRIGHTWATER)
    place.project.plan("crm")
    place.sync(ACME, BRIGHTWATER)
    return served()


@pytest.fixture
def everything(api):
    """A client that may do all, for all customers."""
    with api.as_() as client:
        yield client


@pytest.fixture
def bare(place, served):
    """Nobody is connected: calls about syncs as they are declared need nobody."""
    place.options["api_burst"] = 5_000
    place.open()
    return served()


@pytest.fixture
def caller(bare):
    """A client of it that may do all, for all customers."""
    with bare.as_() as client:
        yield client
