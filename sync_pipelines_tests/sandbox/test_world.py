"""The invented world is the same for the same recipe."""

from dataclasses import replace

import pytest

from sync_pipelines.sandbox.customers import DEMO
from sync_pipelines.sandbox.cutting import decode
from sync_pipelines.sandbox.world import Recipe, World

RECIPE = Recipe(seed=5, scale=0.02, epoch=1_790_000_000_000)


def everything(world):
    rows = [
        row for account in world.accounts.values() for tbl in account.tables.values() for row in world.storage.walk(tbl)
    ]
    links = world.storage.execute("SELECT * FROM links").fetchall()
    return rows, links, world.description()


@pytest.fixture
def make():
    made = []

    def world(recipe=RECIPE, folder=None):
        made.append(World(folder, recipe))
        return made[-1]

    yield world
    for one in made:
        one.close()


def test_two_worlds_of_one_recipe_are_the_same_to_the_byte(make):
    assert everything(make()) == everything(make())


def test_another_seed_makes_other_records(make):
    assert everything(make())[0] != everything(make(replace(RECIPE, seed=6)))[0]


def test_the_demo_has_six_customers_and_about_twenty_thousand_records():
    assert [customer.vendor for customer in DEMO] == ["salesforce"] * 3 + ["hubspot"] * 3
    assert 18_000 < sum(sum(customer.sizes.values()) for customer in DEMO) < 22_000


def test_a_folder_is_opened_again_with_what_happened_since(make, tmp_path):
    first = make(folder=tmp_path)
    account = first.accounts["lumen-bakery"]
    first.revoke(account.customer.refresh_token(5))
    first.clock.advance(60_000)
    first.remember_clock()
    before, shown = everything(first), first.clock.now()
    first.close()
    again = make(folder=tmp_path)
    assert everything(again) == before
    assert again.holder(account.customer.refresh_token(5), "refresh")[1] == "revoked"
    assert again.clock.now() >= shown


def test_a_folder_of_another_recipe_is_made_anew(make, tmp_path):
    make(folder=tmp_path).close()
    other = make(replace(RECIPE, seed=9), tmp_path)
    assert everything(other) == everything(make(replace(RECIPE, seed=9)))


def test_every_stamp_is_in_the_past_of_the_world(make):
    world = make()
    for row in everything(world)[0]:
        assert row.created <= row.modified <= world.epoch
        assert row.archived is None or row.modified <= row.archived < world.epoch


def test_numbered_customers_come_after_the_six(make):
    world = make(Recipe(seed=1, epoch=RECIPE.epoch, sizes={}, customers=20))
    assert len(world.accounts) == 20
    assert len({account.id for account in world.accounts.values()}) == 20
    assert list(world.accounts)[6:8] == ["acme-robotics-6", "brightwater-clinics-7"]


def test_every_customer_names_its_own_fields_for_the_same_meaning(make):
    world = make()
    told = world.description()["customers"]
    fields = [tuple(next(iter(customer["meanings"].values())).values()) for customer in told]
    assert len(set(fields)) == 6
    for customer in told:
        account = world.accounts[customer["id"]]
        for object, meanings in customer["meanings"].items():
            assert set(meanings) == {"annual_revenue", "tier", "renewal_date", "is_strategic"}
            assert set(meanings.values()) <= set(account.objects[object].fields)


def test_some_values_are_dirty(make):
    world = make(Recipe(seed=1, epoch=RECIPE.epoch, sizes={"kestrel-logistics": {"Account": 800, "Contact": 800}}))
    account = world.accounts["kestrel-logistics"]
    records = [decode(row.body) for row in world.storage.walk(account.tables["Contact"])]
    revenue = {record["Revenue_Text__c"] for record in records}
    assert {"about 1200", "n/a", "12k"} <= revenue
    texts = [record["Description"] for record in records if record["Description"]]
    assert any("\x00" in text for text in texts)
    assert any('"' in text for text in texts)
    assert "" not in texts
