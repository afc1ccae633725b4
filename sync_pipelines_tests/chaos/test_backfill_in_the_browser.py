"""A person backfills five scattered customers in Dagster's pages, of whom two cannot be synced."""

import re

import pytest

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.chaos.scene import HUB

pytestmark = [pytest.mark.chaos, pytest.mark.browser]

ASSET = (HUB, "contact")
REASONS = ("auth_expired: ", "vendor_error: ")


@pytest.fixture
def five(scene):
    """Five partitions, none beside another: the second's customer has revoked our access, the fourth's CRM is down."""
    scene.change(HUB)
    keys = scene.client.partition_keys(ASSET)[::2]
    assert len(keys) == 5
    revoked, down = keys[1], keys[3]
    scene.control.revoke_tokens(revoked)
    scene.control.fault(down, "status", status=500, path="/crm/")
    yield keys
    scene.control.clear_faults()
    reconnect(scene, revoked)


def reconnect(scene, customer):
    tokens = {name: Secret(value) for name, value in scene.control.new_tokens(customer).items()}
    account = scene.control.account(customer)
    scene.project.store.connections.connect(
        customer_id=customer, provider=account.vendor, tokens=Tokens(**tokens), api_url=account.api_url
    )


def test_five_scattered_customers_of_whom_two_fail(scene, five, page, artefacts):
    launch_in_the_browser(page, scene.stage.dagster.url, five, artefacts)
    newest = scene.client.ask(
        "{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills { results { id } } } }"
    )
    (backfill,) = newest["partitionBackfillsOrError"]["results"]
    runs = scene.client.wait_for_backfill(backfill["id"], expected_runs=5)
    by_customer = {run.tags["dagster/asset_partition_range_start"]: run for run in runs}
    assert {customer: run.status for customer, run in by_customer.items()} == dict(
        zip(five, ("SUCCESS", "FAILURE", "SUCCESS", "FAILURE", "SUCCESS"), strict=True)
    )
    for customer, reason in zip(five[1::2], REASONS, strict=True):
        its_run_says_who_failed_and_why(page, scene.stage.dagster.url, by_customer[customer].run_id, customer, reason)
        page.screenshot(path=artefacts / f"why_{customer}_failed.png")
    the_asset_shows_exactly_two_failed(page, scene, five)
    page.screenshot(path=artefacts / "two_partitions_failed.png")


def launch_in_the_browser(page, url, keys, artefacts):
    page.goto(f"{url}/assets/{'/'.join(ASSET)}?view=partitions")
    page.get_by_text(keys[0], exact=True).first.wait_for()
    page.get_by_text("Materialize…").first.click()
    dialog = page.locator("[role=dialog][aria-modal=true]")
    dialog.get_by_text("Select a partition").click()
    for key in keys:
        page.locator("li").filter(has=page.get_by_text(key, exact=True)).last.click()
    page.keyboard.press("Escape")
    dialog.get_by_text("5 partitions", exact=True).wait_for()
    page.screenshot(path=artefacts / "five_partitions_chosen.png")
    dialog.get_by_text("Launch backfill").click()
    dialog.wait_for(state="detached")


def its_run_says_who_failed_and_why(page, url, run_id, customer, reason):
    page.goto(f"{url}/runs/{run_id}")
    page.get_by_text(re.compile(f"{re.escape(customer)}: {re.escape(reason)}")).first.wait_for()


def the_asset_shows_exactly_two_failed(page, scene, five):
    assert scene.client.partition_statuses(ASSET).failed == {five[1], five[3]}
    page.goto(f"{scene.stage.dagster.url}/assets/{'/'.join(ASSET)}?view=partitions&status=FAILED")
    for customer in (five[1], five[3]):
        page.get_by_text(customer, exact=True).first.wait_for()
