"""A customer maps its fields on the page: by the same rules as by API, seen before saved, and never over another's."""

import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.web.conftest import Forms, Product

SCHEMA = {
    "version": 1,
    "fields": [
        {"name": "annual_revenue", "type": "numeric", "description": "What they earn in a year"},
        {"name": "tier", "required": True},
        {"name": "is_strategic", "type": "boolean"},
        {"name": "lead_source", "sources": {"salesforce": "LeadSource"}, "locked": True},
    ],
}


EVERY_RECORD = {"any": [{"field": "tier", "is_set": True}, {"field": "tier", "is_not_set": True}]}


@pytest.fixture
def product(place):
    contact = {"object": "contact", "custom_schema": SCHEMA, "filter": EVERY_RECORD}
    place.write_sync(objects=[contact, "account"], schedule={"every": "1h"})
    place.connect(ACME, BRIGHTWATER)
    with serve(place.project) as url:
        yield Product(place, url)


def fields_page(product, visitor, customer=ACME):
    visitor.enter(product.link(customer=customer))
    return visitor.open(f"{product.url}/connect/objects/contact")


def own(product, customer=ACME):
    known = product.place.project.store.mappings.current(customer, "salesforce", "contact")
    return {name: (rule.sources, [step.name for step in rule.transforms]) for name, rule in known.fields.items()}


def test_fields_are_suggested_chosen_looked_at_and_saved(product, visitor):
    page = fields_page(product, visitor)
    assert page.status_code == 200
    for text in ("What they earn in a year", "required", "locked", "Likely", "field:Tier__c", "LeadSource"):
        assert text in page.text
    assert "map:lead_source" not in page.text
    assert "field:Birthdate" not in page.text.split("map:is_strategic")[1]
    assert "field:Birthdate" in page.text.split("map:tier")[1].split("</select>")[0]
    visitor.send("/look", **{"map:tier": "field:Tier__c", "map:annual_revenue": "field:ARR__c"})
    assert "What changes in contact" in visitor.page.text
    assert "ARR__c" in visitor.page.text
    assert "not among those to be synced by the new values are marked as deleted, at most 0." in visitor.page.text
    assert product.place.project.store.mappings.current(ACME, "salesforce", "contact") is None
    visitor.send("/save")
    assert "Saved." in visitor.page.text
    assert own(product) == {"tier": (("Tier__c",), []), "annual_revenue": (("ARR__c",), [])}
    (entry,) = product.place.project.store.audit.list(action="map")
    assert entry.actor == "connect page (api:product)"
    assert product.place.sync_one(ACME).status == "success"
    assert {row["tier"] for row in product.place.rows("crm_contact", ACME)} >= {"Gold", "Silver", "Bronze"}
    assert product.place.project.store.mappings.current(BRIGHTWATER, "salesforce", "contact") is None

    fields_page(product, visitor)
    values = Forms(visitor.page.text).form("/look")[1]
    assert (values["map:tier"], values["map:is_strategic"]) == ("field:Tier__c", "")
    visitor.send("/look", **{"map:tier": "field:LeadSource"})
    alive = sum(not row["is_deleted"] for row in product.place.rows("crm_contact", ACME))
    assert f"marked as deleted, at most {alive:,}." in visitor.page.text
    fields_page(product, visitor)
    visitor.send("/look")
    assert "Nothing: all fields are filled as before." in visitor.page.text
    assert "Save" not in visitor.page.text


def test_what_is_done_with_a_value_stays_and_what_the_page_cannot_show_is_kept(product, visitor):
    product.place.map(
        ACME,
        "salesforce",
        "contact",
        tier={"source": "Tier__c", "transform": {"name": "default_value", "value": "none"}},
        annual_revenue={"sources": ["ARR__c", "Tier__c"], "transform": {"name": "custom", "expression": "ARR__c"}},
    )
    page = fields_page(product, visitor)
    assert "default_value" in page.text
    assert "As it is: ARR__c, Tier__c → custom" in page.text
    visitor.send("/look", **{"map:tier": "field:Department"})
    assert "Department → default_value" in visitor.page.text
    visitor.send("/save")
    assert own(product) == {
        "tier": (("Department",), ["default_value"]),
        "annual_revenue": (("ARR__c", "Tier__c"), ["custom"]),
    }


def test_what_can_never_work_is_said_and_chosen_again(product, visitor):
    fields_page(product, visitor)
    for wrong in ("field:Nothing__c", "field:Strategic__c"):
        visitor.open(f"{product.url}/connect/objects/contact")
        visitor.send("/look", **{"map:annual_revenue": wrong, "map:tier": "field:Tier__c"})
        assert visitor.page.status_code == 422
        assert wrong.removeprefix("field:") in visitor.page.text.split('role="alert"')[1]
        assert Forms(visitor.page.text).form("/look")[1]["map:tier"] == "field:Tier__c"
    visitor.open(f"{product.url}/connect/objects/contact")
    assert visitor.send("/look", **{"map:tier": "nonsense"}).status_code == 400
    visitor.open(f"{product.url}/connect/objects/contact")
    visitor.send("/look", **{"map:lead_source": "field:Title", "map:unheard_of": "field:Title"})
    assert "Nothing: all fields are filled as before." in visitor.page.text


def test_nobody_saves_over_what_somebody_else_has_saved(product, visitor):
    fields_page(product, visitor)
    visitor.send("/look", **{"map:tier": "field:Tier__c"})
    shown = visitor.page
    product.place.map(ACME, "salesforce", "contact", tier="Department")
    assert visitor.send("/save").status_code == 412
    assert "Somebody else has changed this" in visitor.page.text
    assert own(product) == {"tier": (("Department",), [])}
    visitor.page = shown
    action, values = Forms(shown.text).form("/save")
    values["guard"] = "0" * 64
    assert visitor.client.post(action, data=values).status_code == 403


def test_there_is_nothing_to_map_where_there_is_no_schema_or_no_connection(product, visitor):
    fields_page(product, visitor)
    for name in ("account", "unheard-of", "contact%2F..%2Faccount"):
        assert visitor.open(f"{product.url}/connect/objects/{name}").status_code == 404
    product.place.control.revoke_tokens(ACME)
    assert visitor.open(f"{product.url}/connect/objects/contact").status_code == 503
    assert "Connect again" in visitor.page.text
    (connection,) = product.place.project.store.connections.list(customer_id=ACME)
    product.place.project.store.connections.disconnect(connection)
    assert visitor.open(f"{product.url}/connect/objects/contact").status_code == 409
