import pytest

from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers.hubspot import hubspot
from sync_pipelines_tests.providers.golden.exchanges import exchanges
from sync_pipelines_tests.providers.golden.scenarios import HUBSPOT, SALESFORCE


def named(scenarios):
    return [pytest.param(scenario, id=scenario.__name__) for scenario in scenarios]


@pytest.mark.parametrize("scenario", named(SALESFORCE))
def test_our_salesforce_client_speaks_as_the_vendor_documents(scenario):
    scenario(PROVIDERS["salesforce"])


@pytest.mark.parametrize("version", ["v3", "2026-03"])
@pytest.mark.parametrize("scenario", named(HUBSPOT))
def test_our_hubspot_client_speaks_as_the_vendor_documents(scenario, version):
    scenario(hubspot(version))


def test_of_the_quotas_of_the_org_and_of_the_app_the_one_with_fewer_calls_left_counts():
    usage = PROVIDERS["salesforce"].usage
    told = {name: exchanges("salesforce")[name].response["headers"] for name in ("query first page", "query all")}
    assert [usage({key.lower(): value for key, value in headers.items()}) for headers in told.values()] == [
        (17, 250),
        (27, 5000),
    ]
    assert usage({"sforce-limit-info": "api-usage=10018/100000; api-bursts=1/750"}) == (10018, 100000)
    assert usage({"sforce-limit-info": "per-app-api-usage=17/250(appName=a); api-usage=4900/5000"}) == (4900, 5000)
    assert usage({"sforce-limit-info": "other-api-usage=1/2"}) is None


def test_hubspot_tells_a_daily_quota_to_private_apps_only():
    usage = PROVIDERS["hubspot"].usage
    oauth = {name.lower(): value for name, value in exchanges("hubspot")["list first page"].response["headers"].items()}
    assert usage(oauth) is None
    # Header names from the vendor's changelog of 2018-11-06, "Rate limit information headers".
    daily = {"x-hubspot-ratelimit-daily": "250000", "x-hubspot-ratelimit-daily-remaining": "249900"}
    assert usage({**oauth, **daily}) == (100, 250_000)
