"""A plan of a world that has moved is refused: nothing is done, and what moved is told."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_pipelines.plans.applying import PlanRefused, apply_plan
from sync_pipelines.project import open_project
from sync_pipelines_tests.fixtures.place import ACME, KESTREL
from sync_pipelines_tests.plans.observing import columns_of, due, planned

EVERY_HOUR = {"every": "1 hour"}
TITLE = {"name": "title", "sources": {"salesforce": "Title"}}
WANTED = {"object": "contact", "custom_schema": {"version": 2, "fields": [{"name": "size", "type": "bigint"}, TITLE]}}


def a_mapping_is_saved(place):
    place.map(ACME, "salesforce", "contact", size="Fax")
    return f"Mappings of salesforce contact were saved: {ACME}."


def a_column_is_added_by_hand(place):
    place.execute("ALTER TABLE crm.crm_contact ADD COLUMN by_hand text")
    return r"The table warehouse test_\d+.crm.crm_contact has other columns."


def the_table_is_made_by_somebody_else(place):
    place.execute("CREATE TABLE crm.crm_account (id text)")
    return "Something else is to be done to the table warehouse crm_account."


def the_table_goes_again(place):
    place.execute("DROP TABLE crm.crm_account")
    return "Something else is to be done to the table warehouse crm_account."


def a_customer_connects(place):
    place.connect(KESTREL)
    return f"crm account, first read: would be done for {KESTREL}."


def a_run_has_met_the_change(place):
    assert place.sync_one(ACME, object_name="contact").status == "success"
    return "Customers of crm contact stand elsewhere"


def the_planned_times_change(place):
    place.project.plan("crm")
    return "What is planned of the syncs' times is otherwise."


def the_files_change(place):
    place.write_sync(objects=[WANTED, "account"], schedule=EVERY_HOUR, mode="mirror")
    return "The configuration is written otherwise"


def the_environment_changes(place):
    place.environ["WAREHOUSE_DATABASE"] = place.store.name
    place.open()
    return "its references to the environment are filled otherwise"


def somebody_else_applies(place):
    place.environ["WAREHOUSE_DATABASE"] = place.warehouse.name
    place.open()
    apply_plan(place.project, planned(place), actor="ops")
    return "Another version is in effect: 2, applied by ops at"


MOVES = (
    a_mapping_is_saved,
    a_column_is_added_by_hand,
    the_table_is_made_by_somebody_else,
    the_table_goes_again,
    a_customer_connects,
    a_run_has_met_the_change,
    the_planned_times_change,
    the_files_change,
    the_environment_changes,
    somebody_else_applies,
)


def test_whatever_moves_the_plan_is_refused_and_told_what(settled):
    place = settled
    place.write_sync(objects=[WANTED, "account"], schedule={"every": "5 minutes"})
    for move in MOVES:
        plan = planned(place)
        says = move(place)
        before = columns_of(place), due(place), place.project.store.configurations.history()
        with pytest.raises(PlanRefused) as refused:
            apply_plan(place.project, plan)
        assert (move.__name__, [bool(re.search(says, reason)) for reason in refused.value.reasons].count(True)) == (
            move.__name__,
            1,
        ), refused.value.reasons
        assert (columns_of(place), due(place), place.project.store.configurations.history()) == before


def test_of_two_who_apply_at_once_one_does_it_and_the_other_is_told(settled):
    place = settled
    place.write_sync(objects=[WANTED], schedule=EVERY_HOUR)
    plan = planned(place)
    projects = [open_project(place.settings(), place.environ) for _ in range(3)]

    def try_it(project):
        try:
            return apply_plan(project, plan).version
        except PlanRefused as refused:
            return refused.reasons

    try:
        with ThreadPoolExecutor(3) as pool:
            outcomes = list(pool.map(try_it, projects))
    finally:
        for project in projects:
            project.close()
    refused = [each for each in outcomes if each != 2]
    assert len(refused) == 2
    assert all("Another version is in effect: 2" in reasons[0] for reasons in refused)
    assert [each.version for each in place.project.store.configurations.history()] == [2, 1]
    assert "title" in columns_of(place)["crm", "crm_contact"]
