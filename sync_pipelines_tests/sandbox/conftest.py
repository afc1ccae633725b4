"""A small sandbox for the tests of this folder, reset before each one."""

import httpx
import pytest

from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe

EPOCH = 1_790_000_000_000
SIZES = {
    "acme-robotics": {"User": 5, "Account": 40, "Contact": 401, "Lead": 20, "Opportunity": 30, "Employee__c": 5},
    "brightwater-clinics": {"User": 3, "Account": 5, "Contact": 5},
    "lumen-bakery": {"owners": 12, "companies": 140, "contacts": 301, "deals": 40, "tickets": 10, "leads": 10},
    "quill-media": {"owners": 2, "companies": 5, "contacts": 20},
}


class Caller(httpx.Client):
    """Calls as one account; paths are relative to its API."""

    def __init__(self, account, **rest):
        super().__init__(
            base_url=account.api_url,
            headers={"Authorization": f"Bearer {account.access_token}"},
            trust_env=False,
            **rest,
        )
        self.account = account


@pytest.fixture(scope="package")
def running():
    with serve(Recipe(seed=7, epoch=EPOCH, sizes=SIZES)) as control:
        yield control


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


@pytest.fixture
def salesforce(sandbox):
    with Caller(sandbox.account("acme-robotics")) as caller:
        yield caller


@pytest.fixture
def hubspot(sandbox):
    with Caller(sandbox.account("lumen-bakery")) as caller:
        yield caller


API = "/services/data/v67.0"


@pytest.fixture
def soql(salesforce):
    """Ask a query and follow its pages: the pages' bodies."""

    def ask(query, how="query", batch=None):
        headers = {} if batch is None else {"Sforce-Query-Options": f"batchSize={batch}"}
        answer = salesforce.get(f"{API}/{how}", params={"q": query}, headers=headers)
        assert answer.status_code == 200, answer.text
        pages = [answer.json()]
        while not pages[-1]["done"]:
            answer = salesforce.get(pages[-1]["nextRecordsUrl"], headers=headers)
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
        return pages

    return ask


@pytest.fixture
def listing(hubspot):
    """List an object and follow its pages: the pages' bodies."""

    def ask(object="contacts", **params):
        pages = []
        while True:
            answer = hubspot.get(f"/crm/v3/objects/{object}", params=params)
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
            following = pages[-1].get("paging")
            if following is None:
                return pages
            params["after"] = following["next"]["after"]

    return ask
