"""A customer of whose contacts some fit a filter, read in each of the ways there are."""

import pytest

from sync_pipelines_tests.fixtures.place import BRIGHTWATER, KESTREL, LUMEN

TABLE = "crm_contact"


class Salesforce:
    provider, customer, object, field, bulk_above = "salesforce", KESTREL, "Contact", "Department", 100_000
    wanted, other = "Chosen", "Other"


class Bulk(Salesforce):
    customer, bulk_above = BRIGHTWATER, 5


class HubSpot:
    provider, customer, object, field, bulk_above = "hubspot", LUMEN, "contacts", "jobtitle", 100_000
    wanted, other = "Chosen", "Other"


WAYS = pytest.mark.parametrize("way", [Salesforce, Bulk, HubSpot], ids=["rest", "bulk", "hubspot"])
VENDORS = pytest.mark.parametrize("way", [Salesforce, HubSpot], ids=["salesforce", "hubspot"])
_PAIRS = [
    (Salesforce, "keep"),
    (Bulk, "delete"),
    (HubSpot, "mark"),
    (Salesforce, "mark"),
    (HubSpot, "delete"),
    (HubSpot, "keep"),
]


def _named(each):
    return each if isinstance(each, str) else each.__name__


LEAVING = pytest.mark.parametrize(("way", "leaving"), _PAIRS, ids=_named)
ONE_OF_EACH = pytest.mark.parametrize(("way", "leaving"), _PAIRS[:3], ids=_named)


class Scene:
    """Twelve contacts of one customer are of the department that is wanted, the others are not."""

    def __init__(self, place, way, **more):
        self.place, self.way = place, way
        place.sleep = lambda seconds: None
        ids = [record["id"] for record in place.control.truth(way.customer, way.object) if not record["deleted"]]
        self.inside, self.outside = ids[:12], ids[12:]
        self.archived = sum(record["deleted"] for record in place.control.truth(way.customer, way.object))
        for id in self.inside:
            self.set(id, way.wanted)
        place.control.clock(advance=3600)
        place.connect(way.customer)
        self.declare(**more)

    def declare(self, value=None, *, filter=None, leaving="mark", history=None, **more):
        filter = filter or {"field": self.way.field, "equals": value or self.way.wanted.upper()}
        contact = {"object": "contact", "filter": filter, "leaving": leaving}
        if history is not None:
            contact["history"] = history
        self.place.write_sync(provider=self.way.provider, bulk_above=self.way.bulk_above, objects=[contact], **more)

    def set(self, id, department):
        self.place.control.record(
            self.way.customer, self.way.object, operation="upsert", id=id, fields={self.way.field: department}
        )

    def sync(self, **options):
        self.place.control.clock(advance=1200)
        run = self.place.sync_one(self.way.customer, **options)
        assert run.status == "success", run.error_message
        return run

    def rows(self):
        return {row["id"]: row for row in self.place.rows(TABLE, self.way.customer)}

    def alive(self):
        return sorted(id for id, row in self.rows().items() if not row["is_deleted"])
