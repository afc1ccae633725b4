"""A customer says where its Salesforce organisation is, or brings an app of its own, over real HTTP on both sides."""

import pytest
import yaml

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.web.conftest import Forms, Product

UAT = "https://acme--uat.sandbox.my.salesforce.com"


@pytest.fixture
def at_salesforce(place):
    """Served as it is outside of tests: the vendor's own login hosts."""
    file = place.folder / "providers" / "salesforce.yaml"
    written = {name: value for name, value in yaml.safe_load(file.read_text()).items() if name != "login_url"}
    file.write_text(yaml.safe_dump(written))
    with serve(place.open()) as url:
        yield Product(place, url)


def test_who_connects_chooses_production_sandbox_or_its_own_login_page(at_salesforce, visitor):
    visitor.enter(at_salesforce.link())
    for name in ("login.salesforce.com", "test.salesforce.com", "My Domain"):
        assert name in visitor.page.text
    for chosen, typed, root in (
        ("production", "", "https://login.salesforce.com/"),
        ("sandbox", "https://evil.example", "https://test.salesforce.com/"),
        ("own", " Acme.my.salesforce.com/ ", "https://acme.my.salesforce.com/"),
        ("own", f"{UAT}/lightning/page/home?x=1", f"{UAT}/"),
    ):
        visitor.open(f"{at_salesforce.url}/connect/")
        visitor.send("/authorize", organisation=chosen, login_url=typed)
        assert visitor.vendor_page().startswith(f"{root}services/oauth2/authorize?"), (chosen, typed)
    # What was chosen last is chosen when the customer comes back, as what the link says is at first.
    visitor.open(f"{at_salesforce.url}/connect/")
    kept = Forms(visitor.page.text).form("/authorize")[1]
    assert (kept["organisation"], kept["login_url"]) == ("own", UAT)
    visitor.enter(at_salesforce.link(environment="sandbox"))
    assert Forms(visitor.page.text).form("/authorize")[1]["organisation"] == "sandbox"


def test_no_other_server_is_ever_asked(at_salesforce, visitor):
    visitor.enter(at_salesforce.link())
    shown = visitor.page
    for wrong in (
        *("", "acme", "https://evil.example", "https://acme.my.salesforce.com.evil.example", "https://[", "\x00"),
        *("http://acme.my.salesforce.com", "https://acme.my.salesforce.com@evil.example", "https://my.salesforce.com"),
        *("https://acme.my.salesforce.com:8443", "https://evil.example/#https://acme.my.salesforce.com"),
    ):
        visitor.page = shown
        assert visitor.send("/authorize", organisation="own", login_url=wrong).status_code == 422, wrong
        assert "This is not your My Domain" in visitor.page.text
    visitor.page = shown
    assert visitor.send("/authorize", organisation="elsewhere").status_code == 400
    visitor.open(f"{at_salesforce.url}/connect/")
    assert Forms(visitor.page.text).form("/authorize")[1]["organisation"] == "production"


def test_an_organisation_with_its_own_login_page_is_connected_there_and_stays_there(product, visitor):
    place = product.place
    account = place.control.account(ACME)
    visitor.enter(product.link())
    visitor.send("/authorize", organisation="own", login_url=account.api_url + "/")
    assert visitor.vendor_page().startswith(account.api_url)
    assert "error=access_denied" in visitor.log_in(BRIGHTWATER)
    assert "Connected" in visitor.open(visitor.log_in(ACME)).text
    (made,) = place.project.store.connections.list()
    assert (made.login_url, made.account_id) == (account.api_url, account.account_id)
    place.control.expire_tokens(ACME)
    assert place.sync_one(ACME).status == "success"
    # A link to connect again leads to the same page.
    visitor.enter(product.link())
    visitor.send("/authorize")
    assert visitor.vendor_page().startswith(account.api_url)


def test_an_app_of_the_customers_own_gets_tokens_by_itself(place, visitor, caplog):
    account, login = place.control.account(ACME), f"{place.control.url}/salesforce/login"
    file = place.folder / "providers" / "salesforce.yaml"
    file.write_text(f"provider_name: salesforce\nauth_type: client_credentials\nlogin_url: {login}\n")
    (client_id, secret), project = account.own_app, place.open()
    right = {"login_url": account.api_url, "client_id": client_id, "client_secret": secret}
    with serve(project) as url:
        visitor.enter(Product(place, url).link())
        shown = visitor.page
        assert "Consumer secret" in shown.text
        assert Forms(shown.text).form("/key")[1].keys() == {"guard", *right}
        for wrong in (
            {"client_secret": "another"},
            {"client_secret": " "},
            {"login_url": "https://evil.example"},
            {"login_url": login},
            {"login_url": place.control.account(BRIGHTWATER).api_url},
        ):
            visitor.page = shown
            answer = visitor.send("/key", **right | wrong)
            assert answer.status_code == 422, wrong
            assert secret not in answer.text
        assert project.store.connections.list() == []
        visitor.page = shown
        assert "Connected" in visitor.send("/key", **right).text
        (made,) = project.store.connections.list()
        assert (made.login_url, made.account_id) == (account.api_url, account.account_id)
        assert place.sync_one(ACME).status == "success"

        # No token lasts, and none needs the customer; a secret that was changed there does.
        place.control.revoke_tokens(ACME)
        place.control.change(ACME, "Contact", updated=2)
        assert place.sync_one(ACME).status == "success"
        assert place.differences(ACME) == []
        place.control.revoke_tokens(ACME)
        place.control.fault(ACME, "refresh_refused", error="invalid_client")
        run = place.sync_one(ACME)
        assert (run.error_type, "own app" in run.error_message) == ("auth_expired", True)
        place.control.clear_faults(ACME)
        visitor.page = shown
        assert "Connected" in visitor.send("/key", **right).text
        visitor.open(f"{url}/connect/disconnect")
        assert "Delete the app there too" in visitor.send("/disconnect").text
    with place.store.connect() as connection:
        tables = ("audit", "connections", "connect_sessions", "credentials", "runs")
        stored = str([connection.execute(f"SELECT CAST(t AS text) FROM {name} t").fetchall() for name in tables])
    assert secret not in stored + caplog.text
