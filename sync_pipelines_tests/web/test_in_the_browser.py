"""A customer's way through the page in headless Chromium, the vendor's login included. Pictures: test_artefacts/."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA
from sync_pipelines_tests.web.conftest import Product

pytestmark = pytest.mark.browser


def log_in(page, customer):
    """At the vendor."""
    page.get_by_label("Log in as").select_option(customer)
    page.get_by_role("button", name="Allow").click()


@pytest.fixture
def shot(page, artefacts):
    def take(name):
        page.screenshot(path=artefacts / f"{name}.png", full_page=True)

    return take


def test_connect_map_first_sync_status_and_reconnect_after_a_revocation(product, page, shot):
    place, complaints = product.place, []

    def heard(message):
        if message.type == "error" and message.location["url"].startswith(product.url):
            complaints.append(message.text)

    page.on("console", heard)
    page.goto(product.link(return_url="http://127.0.0.1:1/app", customer_title="Acme Robotics Ltd"))
    page.get_by_role("heading", name="Salesforce of Acme Robotics Ltd").wait_for()
    shot("0 whose link")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Connect Salesforce").wait_for()
    shot("1 connect")
    page.get_by_role("button", name="Connect Salesforce").click()
    page.get_by_label("Log in as").wait_for()
    log_in(page, ACME)
    page.get_by_text("Connected. The sync begins by itself.").wait_for()
    shot("2 connected")

    page.get_by_role("link", name="Map fields").click()
    page.get_by_label("tier").select_option("field:Tier__c")
    page.get_by_label("annual_revenue").select_option("field:ARR__c")
    shot("3 fields")
    page.get_by_role("button", name="See what it does").click()
    page.get_by_role("heading", name="What changes in contact").wait_for()
    shot("4 what it does")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()

    assert place.sync_one(ACME).status == "success"
    page.goto(f"{product.url}/connect/")
    page.get_by_text("Up to date").wait_for()
    rows = len(place.rows("crm_contact", ACME))
    assert page.get_by_role("row", name="contact").get_by_role("cell").first.text_content() == f"{rows:,}"
    shot("5 up to date")
    page.set_viewport_size({"width": 390, "height": 800})
    shot("6 on a telephone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1200, "height": 900})

    place.control.revoke_tokens(ACME)
    place.control.change(ACME, "Contact", updated=4)
    assert place.sync_one(ACME).error_type == "auth_expired"
    page.reload()
    page.get_by_role("alert").get_by_text("Salesforce no longer accepts the connection").wait_for()
    shot("7 expired")
    page.get_by_role("button", name="Connect again").click()
    log_in(page, ACME)
    page.get_by_text("Connected. The sync begins by itself.").wait_for()
    assert place.sync_one(ACME).status == "success"
    assert place.differences(ACME) == []
    page.reload()
    page.get_by_text("Up to date").wait_for()

    page.get_by_role("link", name="Disconnect").click()
    shot("8 disconnect")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_text("Salesforce has ended the access.").wait_for()
    assert page.context.cookies()[0]["httpOnly"]
    # A browser complains to its console of whatever a policy keeps from it.
    assert complaints == []


@contextmanager
def shop(pages):
    """A product's own site: {path: HTML}. Its origin."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_in_a_frame_the_login_opens_beside_it_and_the_frame_looks_again(place, page, shot):
    pages = {}
    with shop(pages) as origin, shop(pages) as stranger:
        place.options |= {"embed_origins": origin, "product_name": "Orbit CRM Insights"}
        place.write_sync(objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}], schedule={"every": "1h"})
        with serve(place.project) as url:
            link = Product(place, url).link()
            pages["/settings"] = f'<h1>Settings</h1><iframe src="{link}" title="CRM" width="900" height="700"></iframe>'
            page.goto(f"{origin}/settings")
            frame = page.frame_locator("iframe")
            frame.get_by_role("button", name="Continue").click()
            with page.context.expect_page() as opened:
                frame.get_by_role("button", name="Connect Salesforce").click()
            window = opened.value
            window.get_by_label("Log in as").wait_for()
            log_in(window, ACME)
            window.get_by_text("Connected.").or_(window.get_by_text("You can close this window")).first.wait_for()
            window.close()
            # The link is opened again, by the browser that opened it first.
            page.reload()
            frame.get_by_text("What is synced").wait_for()
            shot("frame")
            page.goto(f"{stranger}/settings")
            page.get_by_role("heading", name="Settings").wait_for()
            assert [each.url for each in page.frames if each.url.startswith(url)] == []


def test_an_organisations_own_login_page_and_an_app_of_its_own(place, page, shot):
    account, login = place.control.account(ACME), f"{place.control.url}/salesforce/login"
    written = f"provider_name: salesforce\nname: salesforce_app\nauth_type: client_credentials\nlogin_url: {login}\n"
    (place.folder / "providers" / "salesforce_app.yaml").write_text(written)
    place.write_sync(objects=["contact"], schedule={"every": "1h"})
    with serve(place.project) as url:
        product = Product(place, url)
        page.goto(product.link())
        page.get_by_role("button", name="Continue").click()
        assert page.get_by_role("radio", name="Production").is_checked()
        # Whoever types an address has chosen it.
        page.get_by_label("Address of your My Domain").fill("https://evil.example")
        assert page.get_by_role("radio", name="My Domain").is_checked()
        shot("1 which organisation")
        page.get_by_role("button", name="Connect Salesforce").click()
        page.get_by_role("heading", name="This is not your My Domain").wait_for()
        shot("2 no address of Salesforce")
        page.get_by_role("link", name="Go back").click()
        page.get_by_label("Address of your My Domain").fill(account.api_url)
        page.get_by_role("button", name="Connect Salesforce").click()
        page.get_by_label("Log in as").wait_for()
        log_in(page, ACME)
        page.get_by_text("Connected. The sync begins by itself.").wait_for()

        page.goto(product.link(provider="salesforce_app"))
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("My Domain").fill(account.api_url)
        page.get_by_label("Consumer key").fill(account.own_app[0])
        page.get_by_label("Consumer secret").fill("mistyped")
        shot("3 an app of its own")
        page.get_by_role("button", name="Connect Salesforce").click()
        page.get_by_text("does not accept what you typed").wait_for()
        page.get_by_role("link", name="Go back").click()
        page.get_by_label("My Domain").fill(account.api_url)
        page.get_by_label("Consumer key").fill(account.own_app[0])
        page.get_by_label("Consumer secret").fill(account.own_app[1])
        page.get_by_role("button", name="Connect Salesforce").click()
        page.get_by_text("Connected.").wait_for()
        page.get_by_text(f"Account {account.account_id}").wait_for()
        shot("4 connected")
    found = {(each.provider, each.login_url) for each in place.project.store.connections.list()}
    assert found == {("salesforce", account.api_url), ("salesforce_app", account.api_url)}
