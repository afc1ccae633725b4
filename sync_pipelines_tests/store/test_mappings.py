from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_pipelines.config.rules import written_rules
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Transform
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import Store
from sync_pipelines_tests.fixtures.migrated_store import KEY


def test_every_change_is_a_version_that_stays(store):
    first = store.mappings.save("acme", "salesforce", "Contact", {"tier": "Tier__c"})
    second = store.mappings.save("acme", "salesforce", "contact", {"tier": "Level__c"}, actor="ada")

    assert (first.version, second.version) == (1, 2)
    assert store.mappings.current("acme", "salesforce", "CONTACT") == second
    assert store.mappings.history("acme", "salesforce", "contact") == [second, first]


def test_the_same_rules_again_are_the_same_version(store):
    first = store.mappings.save("acme", "salesforce", "contact", {"a": "A", "b": "B"})

    assert store.mappings.save("acme", "salesforce", "contact", {"b": "B", "a": "A"}) == first
    assert len(store.audit.list()) == 1


def test_mappings_of_others_are_others(store):
    store.mappings.save("acme", "salesforce", "contact", {"tier": "Tier__c"})

    assert store.mappings.current("globex", "salesforce", "contact") is None
    assert store.mappings.current("acme", "hubspot", "contact") is None
    assert store.mappings.current("acme", "salesforce", "account") is None


def test_savers_at_once_get_versions_of_their_own(store):
    with ThreadPoolExecutor(8) as pool:
        saved = list(
            pool.map(lambda number: store.mappings.save("acme", "hubspot", "contact", {"a": f"f{number}"}), range(8))
        )

    assert sorted(mapping.version for mapping in saved) == list(range(1, 9))


def test_names_as_vendors_have_them_are_kept_letter_by_letter(store):
    rules = {"Ünï 'quoted\" $1 %s :x": "f" * 5_000, "日本": '"; DROP TABLE mappings; --'}

    store.mappings.save("acme", "salesforce", "contact", rules)

    assert written_rules(store.mappings.current("acme", "salesforce", "contact").fields) == rules


@pytest.mark.parametrize("rules", [{"a\x00": "b"}, {"a": "\ud800"}, {"": "b"}, {"a": ""}])
def test_names_that_cannot_be_stored_are_refused(store, rules):
    with pytest.raises(ConfigurationError, match=r"without control characters|is not a rule"):
        store.mappings.save("acme", "salesforce", "contact", rules)


COMPANIES = {"account": "companies", "company": "companies"}


def test_an_object_has_one_mapping_however_it_is_called(database, open_store, store):
    """Of a store that was kept by the names of syncs: one spelling, another, both, and both with none left."""
    save = store.mappings.save
    save("one", "hubspot", "company", {"tier": "a"})
    save("one", "hubspot", "company", {"tier": "b"})
    for name, rules in (
        ("account", {"tier": "x", "size": "s"}),
        ("companies", {"size": "t"}),
        ("account", {"tier": "y"}),
    ):
        save("both", "hubspot", name, rules)
    save("none", "hubspot", "account", {})
    save("none", "hubspot", "company", {})
    untouched = [
        save("own", "hubspot", "companies", {"tier": "c"}),
        save("one", "salesforce", "account", {"tier": "d"}),
    ]

    now = Store(database.url(), (Secret(KEY),), lambda provider, name: COMPANIES.get(name.casefold(), name))
    now.migrate()
    now.migrate()
    history = now.mappings.history("one", "hubspot", "account")
    assert [(each.version, written_rules(each.fields)) for each in history] == [(2, {"tier": "b"}), (1, {"tier": "a"})]
    history = now.mappings.history("both", "hubspot", "Companies")
    assert [written_rules(each.fields) for each in history] == [
        {"tier": "y", "size": "t"},
        {"tier": "y"},
        {"size": "t"},
        {"tier": "x", "size": "s"},
    ]
    assert ([each.version for each in history], history[0].actor) == ([4, 3, 2, 1], "migrate")
    assert now.mappings.current("none", "hubspot", "company").fields == {}
    assert [now.mappings.current(each.customer_id, each.provider, each.object) for each in untouched] == untouched

    saved = now.mappings.save("one", "hubspot", "Account", {"tier": "e"}, expected=2)
    assert (saved.version, saved.object) == (3, "account")
    found = now.mappings.current_of("hubspot", ["company", "account"], ["one"])
    assert {key: each.version for key, each in found.items()} == {("one", "company"): 3, ("one", "account"): 3}
    assert now.mappings.counted("hubspot", "account") == {"tier": 3, "size": 1}
    now.close()


def test_who_changed_a_mapping_is_remembered(store):
    store.mappings.save("acme", "salesforce", "contact", {"tier": "A"})
    store.mappings.save("acme", "salesforce", "contact", {"tier": "B"}, actor="ada")

    entry = store.audit.list("mapping acme/salesforce/contact")[0]

    assert (entry.actor, entry.old["fields"], entry.new["fields"]) == ("ada", {"tier": "A"}, {"tier": "B"})


def test_the_newest_of_many_at_once(store):
    store.mappings.save("acme", "salesforce", "Contact", {"tier": "Old__c"})
    newest = store.mappings.save("acme", "salesforce", "Contact", {"tier": "Tier__c"})
    other = store.mappings.save("globex", "salesforce", "account", {"size": "Size__c"})
    store.mappings.save("globex", "hubspot", "Contact", {"tier": "tier"})
    store.mappings.save("initech", "salesforce", "Contact", {"tier": "T__c"})

    found = store.mappings.current_of("salesforce", ["Contact", "Account"], ["acme", "globex", "nobody"])

    assert found == {("acme", "Contact"): newest, ("globex", "Account"): other}


def test_rules_with_transforms_are_kept_and_plain_ones_stay_texts(store, database):
    steps = (Transform(name="value_mapping", options={"values": {"A": "gold"}, "otherwise": "keep"}),)
    rules = {"tier": FieldRule(sources=("Tier__c",), transforms=steps), "size": FieldRule(sources=("Size__c",))}

    saved = store.mappings.save("acme", "salesforce", "contact", rules)

    assert store.mappings.current("acme", "salesforce", "contact") == saved
    assert saved.fields == rules
    assert store.mappings.save("acme", "salesforce", "contact", written_rules(rules)) == saved
    with database.connect() as connection:
        ((kept,),) = connection.execute("SELECT fields FROM mappings").fetchall()
    assert kept == {
        "size": "Size__c",
        "tier": {
            "source": "Tier__c",
            "transform": {"name": "value_mapping", "values": {"A": "gold"}, "otherwise": "keep"},
        },
    }


def test_a_row_from_before_rules_had_transforms_is_read(store, database):
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO mappings (customer_id, provider, object, version, fields, actor) "
            "VALUES ('acme', 'salesforce', 'contact', 1, '{\"tier\": \"Tier__c\"}', 'ada')"
        )

    found = store.mappings.current("acme", "salesforce", "contact")

    assert found.fields == {"tier": FieldRule(sources=("Tier__c",))}
    assert (found.actor, found.saved_at is not None) == ("ada", True)


def test_an_older_version_is_found_by_its_number_or_as_the_one_before(store):
    first = store.mappings.save("acme", "salesforce", "contact", {"tier": "A"})
    with pytest.raises(ConfigurationError, match="no version before the newest one"):
        store.mappings.version("acme", "salesforce", "contact")
    second = store.mappings.save("acme", "salesforce", "contact", {"tier": "B"})
    store.mappings.save("acme", "salesforce", "contact", {"tier": "C"})

    assert store.mappings.version("acme", "salesforce", "contact") == second
    assert store.mappings.version("acme", "salesforce", "Contact", 1) == first
    with pytest.raises(ConfigurationError, match=r"no version 7\. There are: 3, 2, 1"):
        store.mappings.version("acme", "salesforce", "contact", 7)
