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


@pytest.fixture(scope="module", autouse=True)
def nothing_fails_without_a_mutation():
    """Else a failure would prove nothing; test_golden_client then shows what is wrong."""
    if failures(PROVIDERS["salesforce"], scenarios.SALESFORCE) | failures(hubspot("v3"), scenarios.HUBSPOT):
        pytest.fail("the golden scenarios fail without a mutation: see test_golden_client")


def test_a_declaration_passed_through_unchanged_still_passes():
    unchanged = {"ask": lambda request: request, "hear": lambda answer: answer}
    for name, suite in (("salesforce", scenarios.SALESFORCE), ("hubspot", scenarios.HUBSPOT)):
        assert failures(mutations.mutated(PROVIDERS[name], **unchanged), suite) == set()


@pytest.mark.parametrize("fact", mutations.SALESFORCE)
def test_a_wrong_fact_about_salesforce_is_caught(fact):
    assert failures(mutations.mutated(PROVIDERS["salesforce"], **mutations.SALESFORCE[fact]), scenarios.SALESFORCE)


@pytest.mark.parametrize("fact", mutations.HUBSPOT)
def test_a_wrong_fact_about_hubspot_is_caught(fact):
    assert failures(mutations.mutated(hubspot("v3"), **mutations.HUBSPOT[fact]), scenarios.HUBSPOT)
