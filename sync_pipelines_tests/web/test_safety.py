"""What every answer of the pages carries, who may make links, and what a page shows of others: nothing."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from sync_pipelines.api.serving import serve
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.settings import Settings
from sync_pipelines.web import Site
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER


def test_pages_let_nothing_in_from_elsewhere(product, visitor):
    page = visitor.enter(product.link())
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in page.headers
    for text in (page.text, visitor.open(f"{product.url}/connect/nowhere").text):
        assert "<style" not in text
        assert " style=" not in text
        assert "onclick" not in text
        assert text.count("<script") == text.count("<script src=") == 1
    assert visitor.page.status_code == 404
    for name, kind in (("connect.css", "text/css"), ("connect.js", "text/javascript")):
        file = visitor.open(f"{product.url}/connect/{name}")
        assert (file.status_code, file.headers["content-type"].split(";")[0]) == (200, kind)


def test_behind_tls_cookies_are_bound_to_it_and_frames_are_those_that_were_allowed(place, visitor):
    place.options |= {"public_url": "https://sync.example/crm", "embed_origins": "https://app.example"}
    place.write_sync()
    lives = timedelta(minutes=5)
    session, token = place.project.store.connect_sessions.create(ACME, "salesforce", lives=lives)
    with serve(place.project) as url:
        visitor.client.follow_redirects = False
        opened = visitor.client.post(f"{url}/connect/open/{token.reveal()}")
        assert opened.headers["location"] == "https://sync.example/crm/connect/"
        cookie = opened.headers["set-cookie"]
        for part in ("__Host-sp_connect=", "; Path=/;", "HttpOnly", "Secure", "SameSite=None", "Partitioned"):
            assert part in cookie
        secret = cookie.split("=", 1)[1].split(";")[0]
        embedded = {"Cookie": f"__Host-sp_connect={secret}", "Sec-Fetch-Dest": "iframe"}
        page = visitor.open(f"{url}/connect/", headers=embedded)
        assert "frame-ancestors https://app.example" in page.headers["content-security-policy"]
        assert "x-frame-options" not in page.headers
        assert page.headers["strict-transport-security"].startswith("max-age=")
        # The window beside the frame has none of its cookies: it brings what the page handed over, once.
        assert 'target="_blank"' in page.text
        handover = page.text.split('name="handover" value="')[1].split('"')[0]
        for status in (200, 401):
            answer = visitor.client.post(f"{url}/connect/authorize", data={"handover": handover})
            assert answer.status_code == status
    assert session.customer_id == ACME


def test_without_a_public_url_no_link_is_made_outside_of_development(place):
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_PUBLIC_URL"):
        Site.of(Settings(environment="production"), "https://evil.example")


@pytest.mark.parametrize(
    "wrong", [{"public_url": "sync.example"}, {"public_url": "https://a b"}, {"embed_origins": "https://a.example/x"}]
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_who_may_make_which_links(product):
    with product.client("connections:read") as client:
        assert client.post("/connect-sessions", json={"customer_id": ACME, "provider": "x"}).status_code == 403
    with product.client(customer_id=BRIGHTWATER) as client:
        for customer, status in ((BRIGHTWATER, 201), (ACME, 404), ("nobody-here", 404)):
            answer = client.post("/connect-sessions", json={"customer_id": customer, "provider": "salesforce"})
            assert answer.status_code == status
    with product.client() as client:
        for wanted, status in (
            ({"customer_id": "a/b", "provider": "salesforce"}, 422),
            ({"customer_id": ACME, "provider": "unknown"}, 404),
            ({"customer_id": ACME, "provider": "salesforce", "return_url": "javascript:alert(1)"}, 422),
            ({"customer_id": ACME, "provider": "salesforce", "return_url": "https://a.example/<script>"}, 422),
            ({"customer_id": ACME, "provider": "salesforce", "environment": "test"}, 422),
            ({"customer_id": ACME, "provider": "salesforce", "more": 1}, 422),
            ({"customer_id": ACME, "provider": "salesforce", "customer_title": "  "}, 422),
        ):
            assert client.post("/connect-sessions", json=wanted).status_code == status, wanted


def test_a_session_sees_its_customer_alone(product, visitor, stranger):
    place = product.place
    place.connect(ACME, BRIGHTWATER)
    visitor.enter(product.link(customer=BRIGHTWATER))
    assert "Salesforce" in visitor.page.text
    assert ACME not in visitor.page.text
    account = place.control.account(ACME).account_id
    assert account not in visitor.page.text
    visitor.open(f"{product.url}/connect/disconnect")
    visitor.send("/disconnect")
    assert [each.customer_id for each in place.project.store.connections.list()] == [ACME]
    for path in ("", "disconnect", "objects/contact"):
        assert stranger.open(f"{product.url}/connect/{path}").status_code in (401, 404)


def test_forms_that_are_no_forms_are_told_so(product, visitor):
    visitor.enter(product.link())
    for body in (b"\xff\xfe=1", b"&".join(b"a%d=1" % number for number in range(6_000))):
        answer = visitor.client.post(
            f"{product.url}/connect/authorize",
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code in (400, 403)
    big = visitor.client.post(f"{product.url}/connect/authorize", content=b"x" * 1_000_001)
    assert big.status_code == 413
