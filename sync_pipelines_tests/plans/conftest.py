"""A place whose configuration was applied and synced once."""

import pytest

from sync_pipelines.plans.applying import apply_plan
from sync_pipelines.plans.making import make_plan
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.plans.observing import nothing_is_asked_for

SCHEMA = {
    "version": 1,
    "fields": [{"name": "phone_text", "sources": {"salesforce": "Phone"}}, {"name": "size", "type": "bigint"}],
}
CONTACT = {"object": "contact", "custom_schema": SCHEMA}


@pytest.fixture
def settled(unhurried):
    """Two customers of the sync `crm`, in effect as version 1 and synced."""
    place = unhurried
    place.write_sync(objects=[CONTACT], schedule={"every": "1 hour"})
    place.connect(ACME, BRIGHTWATER)
    apply_plan(place.project, make_plan(place.project), actor="ann")
    for run in place.sync(ACME, BRIGHTWATER):
        assert run.status == "success"
    nothing_is_asked_for(place)
    return place
