"""Filters on fields of the custom schema, of which a customer's rule makes another value than the vendor has."""

from sync_pipelines.config.rules import rules_from
from sync_pipelines.mapping_changes import STORED, VENDOR, plan_change
from sync_pipelines.previewing import preview
from sync_pipelines_tests.filters.scene import VENDORS, Scene

SCHEMA = {"version": 1, "fields": ["segment", {"name": "size", "type": "numeric"}]}


def mapped(way, **values):
    otherwise = {"name": "value_mapping", "values": values, "otherwise": "null"}
    return {"segment": {"source": way.field, "transform": otherwise}}


def plan_of(place, way, **changes):
    known = place.project.store.mappings.current(way.customer, way.provider, "contact")
    rules = {**known.fields, **rules_from(changes)}
    connection = place.project.store.connections.get(way.customer, way.provider)
    (effect,) = plan_change(place.project, connection, "contact", rules, schema=None).effects
    return effect


class Mapped(Scene):
    """The scene with a filter on `segment`, whose values are made of the vendor's field."""

    def __init__(self, place, way, rules, filter=None, **more):
        self.condition = filter or {"field": "segment", "equals": "Platinum"}
        super().__init__(place, way, **more)
        self.map(rules)

    def map(self, rules):
        self.place.project.store.mappings.save(self.way.customer, self.way.provider, "contact", rules)

    def declare(self, leaving="mark", **more):
        contact = {"object": "contact", "custom_schema": SCHEMA, "filter": self.condition, "leaving": leaving}
        self.place.write_sync(provider=self.way.provider, bulk_above=self.way.bulk_above, objects=[contact], **more)


@VENDORS
def test_what_the_rule_makes_is_what_is_asked_for(place, way):
    scene = Mapped(place, way, mapped(way, Chosen="platinum"), leaving="delete")
    run = scene.sync()
    assert scene.alive() == sorted(scene.inside)
    assert run.notices[0] == 'The filter is applied before load: segment equals "platinum".'
    assert {row["segment"] for row in scene.rows().values() if not row["is_deleted"]} == {"platinum"}

    told = plan_of(place, way, **mapped(way, Other="platinum"))
    assert (told.leavers, told.most_leaving, told.rows) == ("delete", len(scene.rows()), len(scene.rows()))
    scene.declare()
    told = plan_of(place, way, **mapped(way, Other="platinum"))
    assert (told.leavers, told.most_leaving) == ("mark", len(scene.alive()))
    assert plan_of(place, way, size=way.field).most_leaving == 0
    scene.declare("delete")

    leaver, *stay = scene.inside
    scene.set(leaver, way.other)
    assert not scene.sync().full
    assert scene.alive() == sorted(stay)

    # The records are who they were; what the rule makes of them has changed, so all are looked at, and no brake trips.
    scene.map(mapped(way, Other="platinum"))
    assert scene.sync().full
    assert scene.alive() == [leaver]
    scene.map(mapped(way, Chosen="platinum"))
    scene.sync()
    assert scene.alive() == sorted(stay)
    assert not scene.sync().full, "the choice is what it was"


@VENDORS
def test_a_preview_judges_by_what_it_shows(place, way):
    scene = Mapped(place, way, mapped(way, Chosen="gold", Other="silver"))
    id = scene.inside[0]
    shown = preview(place.project, "crm", "contact", way.customer, record=id)
    assert shown.records[0].verdict.unmet == ('segment equals "platinum" (it has "gold")',)
    assert plan_of(place, way, **mapped(way, Chosen="platinum")).source == VENDOR
    assert plan_of(place, way, size=way.field).source == STORED
    changes = mapped(way, Chosen="platinum")
    shown = preview(place.project, "crm", "contact", way.customer, record=id, changes=changes)
    assert shown.records[0].verdict.kept


@VENDORS
def test_several_sources_and_the_type_of_the_schema(place, way):
    last_name = "LastName" if way.provider == "salesforce" else "lastname"
    together = {"name": "concatenate", "separator": "/"}
    rules = {"segment": {"sources": [way.field, last_name], "transform": together}, "size": way.field}
    over = [{"field": "segment", "contains": "7/"}, {"field": "size", "greater_than": 1000}]
    scene = Mapped(place, way, rules, filter=over)
    for id, size in zip(scene.inside, ["1001.7", "900", "1007", "many7", "1008", *["0"] * 7], strict=True):
        scene.set(id, size)
    run = scene.sync()
    assert (run.status, scene.alive()) == ("success", sorted([scene.inside[0], scene.inside[2]]))


@VENDORS
def test_a_source_that_is_gone_fails_the_run_and_deletes_nothing(place, way):
    scene = Mapped(place, way, mapped(way, Chosen="platinum"))
    scene.sync()
    place.control.fault(way.customer, "field_vanished", object=way.object, field=way.field)
    place.control.clock(advance=1200)
    run = place.sync_one(way.customer, full=True)
    assert (run.status, run.error_type) == ("error", "configuration")
    assert way.field in run.error_message
    assert scene.alive() == sorted(scene.inside)
