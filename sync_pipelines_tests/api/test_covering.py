"""Two syncs of one object, each for a customer of its own: neither customer meets the other's in any call."""

import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.api.conftest import Api
from sync_pipelines_tests.api.test_access import BODIES, FOR_ALL_ONLY, SCOPE_OF, refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.web.conftest import Product, Visitor

SECRET = "secret_field"
CASES = f"/connections/{ACME}/salesforce/objects/Case"


def sync_of(name, customer, field):
    schema = {"version": 1, "fields": [{"name": field, "description": f"What {name} wants"}]}
    cases = {"object": "Case", "custom_schema": schema}
    return {"name": name, "provider": "salesforce", "customers": [customer], "objects": [cases, "lead"]}


@pytest.fixture
def visitor():
    browser = Visitor()
    yield browser
    browser.client.close()


@pytest.fixture
def two(place):
    """`other-one` is BRIGHTWATER's and comes first by every order, `second` is ACME's."""
    place.options |= {"api_burst": 5_000, "api_stranger_burst": 5_000}
    place.write_sync(**sync_of("other-one", BRIGHTWATER, SECRET))
    place.write_sync(**sync_of("second", ACME, "urgency"))
    place.connect(ACME, BRIGHTWATER)
    for name in ("other-one", "second"):
        place.project.plan(name)
    with serve(place.project) as url:
        yield Api(place, url)


def test_a_mapping_is_checked_by_the_syncs_that_cover_the_customer_alone(two, command_line, visitor):
    with two.as_(customer_id=ACME) as bound, two.as_() as operator:
        for client in (bound, operator):
            fields = client.get(f"{CASES}/mapping").json()["schema_fields"]
            assert [each["name"] for each in fields] == ["urgency"]
            suggested = client.get(f"{CASES}/mapping/suggestions").json()["items"]
            assert [each["field"] for each in suggested] == ["urgency"]
            told = refused(client.put(f"{CASES}/mapping", json={"fields": {SECRET: "Subject"}}), 422)
            assert "urgency" in told
            assert "allowed are secret_field" not in told
            assert client.post(f"{CASES}/preview").json()["sync"] == "second"
            assert SECRET not in refused(client.post(f"{CASES}/preview", json={"sync": "other-one"}), 422)
        plan = bound.put(f"{CASES}/mapping", json={"fields": {"urgency": "Priority"}}).json()
        assert [(each["sync"], len(each["columns"])) for each in plan["effects"]] == [("second", 1)]
    assert two.place.sync(ACME, name="second")[0].status == "success"
    assert {row["urgency"] for row in two.place.rows("salesforce_case", ACME)} != {None}

    run = command_line.at(two.place)
    shown = run("mapping", "show", ACME, "salesforce")
    assert ("urgency" in shown.text, SECRET in shown.text) == (True, False)
    suggested = run("mapping", "suggest", ACME, "salesforce", "case")
    assert (suggested.code, SECRET in suggested.text) == (0, False)
    told = run("mapping", "set", ACME, "salesforce", "Case", f"{SECRET}=Subject")
    assert (told.code, "urgency" in told.text) == (2, True)
    assert run("mapping", "set", ACME, "salesforce", "Case", "urgency=Subject", "--dry-run").code == 0
    assert run("preview", ACME, "salesforce", "Case").code == 0

    visitor.enter(Product(two.place, two.url).link(customer=ACME))
    page = visitor.open(f"{two.url}/connect/objects/Case")
    assert ("urgency" in page.text, SECRET in page.text) == (True, False)
    visitor.send("/look", **{"map:urgency": "field:Subject"})
    assert "What changes in Case" in visitor.page.text
    visitor.send("/save")
    assert "Saved." in visitor.page.text


def test_an_object_that_covers_only_others_has_nothing_to_map(place):
    place.write_sync(**sync_of("other-one", BRIGHTWATER, SECRET))
    without_cases = sync_of("second", ACME, "urgency")
    without_cases |= {"customers": [], "overrides": {ACME: {"objects": ["lead"]}}}
    without_cases["objects"][0]["table"] = "own_case"
    without_cases["objects"][1] = {"object": "lead", "table": "own_lead"}
    place.write_sync(**without_cases)
    place.connect(ACME, BRIGHTWATER)
    with serve(place.project) as url, Api(place, url).as_(customer_id=ACME) as bound:
        calls = [
            bound.get(f"{CASES}/mapping"),
            bound.get(f"{CASES}/mapping/versions"),
            bound.put(f"{CASES}/mapping", json={"fields": {SECRET: "Subject"}}),
            bound.post(f"{CASES}/mapping/rollback"),
        ]
        assert {refused(each, 404) for each in calls} == {
            f"No sync of salesforce has an object Case with a custom_schema that {ACME} maps onto."
        }
        refused(bound.post(f"{CASES}/preview"), 422)
        refused(bound.post(f"{CASES}/preview", json={"sync": "second"}), 422)
    assert place.project.store.mappings.current(ACME, "salesforce", "Case") is None


def test_no_call_tells_a_customer_of_a_sync_that_does_not_cover_it(two):
    values = {"customer_id": ACME, "provider": "salesforce", "object": "Case", "run_id": 1, "delivery_id": 1}
    with two.as_(customer_id=ACME) as bound:
        for method, path in SCOPE_OF:
            if (method, path) in FOR_ALL_ONLY or method == "DELETE" or path.startswith(("/webhooks", "/hooks")):
                continue
            named = {"fields": {"nothing": "Subject"}} if method == "PUT" else BODIES.get(path)
            query = {"object": "Case", "record": "1"} if path.endswith("/explain") else None
            for sync in ("second", "other-one"):
                number = 1 if path.startswith("/requests") else sync
                answer = bound.request(method, path.format(**values, id=number), json=named, params=query)
                told = answer.text.replace("no sync named other-one", "").replace("no sync other-one", "")
                assert (SECRET in told, "other-one" in told, BRIGHTWATER in told) == (False, False, False), told
                if path.startswith(("/syncs/", "/custom-schemas/")) and sync == "other-one":
                    refused(answer, 404)
