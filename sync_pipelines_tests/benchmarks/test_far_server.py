"""The far stand-in: its counting, its latency, and that accounts and objects are told apart."""

import msgspec
import pytest

from benchmarks import idle
from benchmarks.far_server import FASTEST, SLOWEST, FarVendors, Resident, Seen, Town, latency, most_within
from benchmarks.pages import write_pages

SMALL, LARGE = Resident("token-small", 1, 20), Resident("token-large", 2, 150)


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    pages = tmp_path_factory.mktemp("pages")
    for resident in (SMALL, LARGE):
        write_pages(pages / str(resident.records), resident.records)
    return FarVendors(Town(str(pages), [SMALL, LARGE]))


def ask(vendors, target, token):
    answer = vendors.answer("GET", target, {"authorization": f"Bearer {token}"}, b"")
    return answer.status, msgspec.json.decode(b"".join(bytes(piece) for piece in answer.pieces))


@pytest.mark.parametrize("name", idle.OBJECTS["hubspot"])
def test_every_account_has_its_own_number_of_records_of_each_object(vendors, name):
    for resident in (SMALL, LARGE):
        status, page = ask(vendors, f"/crm/v3/objects/{name}?limit=100", resident.token)
        assert (status, len(page["results"])) == (200, min(100, resident.records))
    assert ask(vendors, f"/crm/v3/properties/{name}", SMALL.token)[0] == 200


def test_accounts_are_told_apart_and_strangers_refused(vendors):
    portals = [ask(vendors, "/account-info/v3/details", one.token)[1]["portalId"] for one in (SMALL, LARGE)]
    assert portals[0] != portals[1]
    assert ask(vendors, "/account-info/v3/details", "token-nobody")[0] == 401


def test_the_latency_of_a_request_is_always_the_same_and_in_its_bounds():
    found = [latency(number, "GET", f"/page/{page}") for number in range(10) for page in range(50)]
    assert found == [latency(number, "GET", f"/page/{page}") for number in range(10) for page in range(50)]
    assert all(FASTEST <= seconds <= SLOWEST for seconds in found)
    assert max(found) - min(found) > 0.9 * (SLOWEST - FASTEST)


def test_requests_are_counted_in_rolling_windows():
    assert most_within([], 10) == 0
    assert most_within([0, 9.9, 10, 10.1, 25], 10) == 3
    seen = Seen()
    for at in (0.0, 0.5, 1.2):
        seen.arrived("search", at)
    assert seen.told() == {
        "requests": 3,
        "most_under_way": 3,
        "windows": {"api in 10 s": 0, "search in 10 s": 3, "search in 1 s": 2},
    }


@pytest.mark.parametrize("name", idle.OBJECTS["salesforce"])
def test_an_idle_account_has_every_object_of_salesforce(vendors, name):
    status, told = ask(vendors, f"/services/data/v67.0/sobjects/{name}/describe", SMALL.token)
    assert (status, told["queryable"]) == (200, True)


def test_deals_have_pipelines(vendors):
    assert ask(vendors, "/crm/v3/pipelines/deals", SMALL.token) == (200, {"results": []})
