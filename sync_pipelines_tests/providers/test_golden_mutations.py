import pytest

from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers.hubspot import hubspot
from sync_pipelines_tests.providers.golden import mutations, scenarios


def failures(declared, suite):
    """Names of the golden scenarios that a declaration fails."""
    failed = set()
    for scenario in suite:
        try:
            scenario(declared)
        except Exception:
            failed.add(scenario.__name__)
    return failed


@pytest.fixture(scope="module")
def already_failing():
    """What fails without any mutation, so that it does not count as caught."""
    return {
        "salesforce": failures(PROVIDERS["salesforce"], scenarios.SALESFORCE),
        "hubspot": failures(hubspot("v3"), scenarios.HUBSPOT),
    }


def test_a_declaration_passed_through_unchanged_still_passes(already_failing):
    unchanged = {"ask": lambda request: request, "hear": lambda answer: answer}
    for name, suite in (("salesforce", scenarios.SALESFORCE), ("hubspot", scenarios.HUBSPOT)):
        assert failures(mutations.mutated(PROVIDERS[name], **unchanged), suite) == already_failing[name]


@pytest.mark.parametrize("fact", mutations.SALESFORCE)
def test_a_wrong_fact_about_salesforce_is_caught(fact, already_failing):
    wrong = mutations.mutated(PROVIDERS["salesforce"], **mutations.SALESFORCE[fact])
    assert failures(wrong, scenarios.SALESFORCE) - already_failing["salesforce"]


@pytest.mark.parametrize("fact", mutations.HUBSPOT)
def test_a_wrong_fact_about_hubspot_is_caught(fact, already_failing):
    wrong = mutations.mutated(hubspot("v3"), **mutations.HUBSPOT[fact])
    assert failures(wrong, scenarios.HUBSPOT) - already_failing["hubspot"]
