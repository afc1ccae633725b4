"""From the product's link to a connected account, over real HTTP on both sides; and everything that is refused."""

from urllib.parse import parse_qs, urlencode, urlsplit

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, HARBOR, LUMEN


def connections(product, customer=ACME):
    return product.place.project.store.connections.list(customer_id=customer)


def begun(product, visitor, **link):
    visitor.enter(product.link(**link))
    visitor.send("/authorize")
    return visitor


def test_a_customer_connects_and_its_sync_is_due(product, visitor):
    page = visitor.enter(product.link(return_url="http://127.0.0.1:1/app"))
    assert page.status_code == 200
    assert "Connect Salesforce" in page.text
    assert "contact" in page.text
    assert "/open/" not in str(page.url)
    visitor.send("/authorize")
    asked = parse_qs(urlsplit(visitor.vendor_page()).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{product.url}/connect/callback"]
    page = visitor.open(visitor.log_in(ACME))
    assert "Connected. The sync begins by itself." in page.text
    assert 'href="http://127.0.0.1:1/app"' in page.text
    (made,) = connections(product)
    assert (made.status, made.account_id) == ("connected", product.place.control.account(ACME).account_id)
    (work,) = product.place.project.store.due.list("crm", ACME)
    assert work.next_at is not None
    (entry,) = product.place.project.store.audit.list(action="connect")
    assert entry.actor == "connect page (api:product)"
    assert product.place.sync_one(ACME).status == "success"
    page = visitor.open(f"{product.url}/connect/")
    assert "Up to date" in page.text
    assert str(len(product.place.rows("crm_contact", ACME))) in page.text


def test_hubspot_is_connected_without_pkce(product, visitor):
    begun(product, visitor, customer=LUMEN, provider="hubspot")
    assert "code_challenge" not in visitor.vendor_page()
    assert "Connected" in visitor.open(visitor.log_in(LUMEN)).text
    (made,) = connections(product, LUMEN)
    assert made.account_id == product.place.control.account(LUMEN).account_id


def test_a_sandbox_organisation_is_asked_at_the_vendors_other_login(product, visitor):
    providers = product.place.folder / "providers" / "salesforce.yaml"
    providers.write_text(providers.read_text().replace("login_url", "api_version: '67.0'\n#"))
    product.place.open()
    with serve(product.place.project) as url:
        product.url = url
        for wish, host in (
            ({"environment": "sandbox"}, "https://test.salesforce.com/"),
            ({}, "https://login.salesforce.com/"),
            ({"login_url": "https://acme--uat.sandbox.my.salesforce.com"}, "https://acme--uat.sandbox.my.salesforce"),
        ):
            begun(product, visitor, **wish)
            assert visitor.vendor_page().startswith(host)
        with product.client() as client:
            for bad in ("https://evil.example/my.salesforce.com", "https://x.my.salesforce.com.evil.example"):
                wanted = {"customer_id": ACME, "provider": "salesforce", "login_url": bad}
                answer = client.post("/connect-sessions", json=wanted)
                assert answer.status_code == 422
                assert "is no login page of Salesforce" in answer.json()["detail"]


def test_a_link_is_opened_by_one_browser(product, visitor, stranger):
    link = product.link()
    assert visitor.enter(link).status_code == 200
    assert str(visitor.page.url) == str(visitor.open(link).url) == f"{product.url}/connect/"
    for asked in (stranger.open(link), stranger.client.post(link), stranger.client.head(link)):
        assert asked.status_code == 410
    assert "does not work any more" in stranger.page.text
    assert stranger.open(f"{product.url}/connect/").status_code == 401
    assert stranger.open(link + "x").status_code == 404


def test_looking_at_a_link_uses_nothing_up(product, visitor, stranger):
    """Programs that unfold links, scanners, and another site's page that sends a form."""
    link = product.link(customer_title="Acme Robotics <Ltd>")
    for method, headers in (("HEAD", {}), ("GET", {}), ("POST", {"Sec-Fetch-Site": "cross-site"})):
        for _ in range(2):
            seen = stranger.client.request(method, link, headers=headers)
            assert (seen.status_code, "set-cookie" in seen.headers, len(stranger.client.cookies)) == (200, False, 0)
    assert visitor.open(link).text.count("Acme Robotics &lt;Ltd&gt;") >= 2
    visitor.send(urlsplit(link).path)
    assert "Connect Salesforce" in visitor.page.text
    visitor.send("/authorize")
    assert "Acme Robotics &lt;Ltd&gt;" in visitor.page.text
    back = visitor.log_in(ACME)
    assert visitor.client.head(back).status_code == 404
    assert "Connected" in visitor.open(back).text


def test_every_page_names_the_customer(product, visitor):
    visitor.connect(product.link(), ACME)
    for path in ("", "disconnect", "objects/contact"):
        assert f"for <strong>{ACME}</strong>" in visitor.open(f"{product.url}/connect/{path}").text, path
    assert f"for <strong>{ACME}</strong>" in visitor.send("/look").text
    visitor.open(f"{product.url}/connect/disconnect")
    assert f"for <strong>{ACME}</strong>" in visitor.send("/disconnect").text


def test_links_and_sessions_end(product, visitor, stranger):
    link = product.link()
    visitor.enter(link)
    other = product.link()
    with product.place.store.connect() as connection:
        connection.execute("UPDATE connect_sessions SET link_ends_at = now(), ends_at = now()")
    assert visitor.open(f"{product.url}/connect/").status_code == 401
    assert stranger.open(other).status_code == 410
    for path in ("/authorize", "/test", "/disconnect", "/key"):
        assert visitor.client.post(f"{product.url}/connect{path}").status_code == 401


def test_no_token_of_a_browser_is_stored(product, visitor):
    link = product.link()
    begun(product, visitor)
    texts = [link.rsplit("/", 1)[1], *visitor.client.cookies.values()]
    texts += parse_qs(urlsplit(visitor.vendor_page()).query)["state"]
    with product.place.store.connect() as connection:
        stored = str(connection.execute("SELECT CAST(c AS text) FROM connect_sessions c").fetchall())
        stored += str(connection.execute("SELECT CAST(a AS text) FROM audit a").fetchall())
    assert len(texts) == 4
    assert not [text for text in texts if text in stored]


def test_a_form_that_another_site_makes_is_refused(product, visitor):
    visitor.enter(product.link())
    for guard in ({}, {"guard": ""}, {"guard": "0" * 64}, {"guard": "ä"}):
        for path in ("authorize", "test", "disconnect"):
            answer = visitor.client.post(f"{product.url}/connect/{path}", data=guard)
            assert answer.status_code == 403, path


def test_a_customer_that_refuses_is_told_who_may_allow(product, visitor):
    begun(product, visitor)
    page = visitor.open(visitor.log_in(ACME, decision="deny"))
    assert page.status_code == 403
    assert "ask an administrator" in page.text
    assert connections(product) == []


def test_what_the_vendor_sends_back_instead_of_a_code(product, visitor):
    for error, text in (
        ("invalid_scope", "please tell them"),
        ("redirect_uri_mismatch", "please tell them"),
        ("temporarily_unavailable", "has a problem at the moment"),
        ("<script>alert(1)</script>", "has a problem at the moment"),
    ):
        begun(product, visitor)
        state = parse_qs(urlsplit(visitor.vendor_page()).query)["state"][0]
        query = urlencode({"error": error, "error_description": "<b>look here</b>", "state": state})
        page = visitor.open(f"{product.url}/connect/callback?{query}")
        assert page.status_code == 502
        assert text in page.text
        assert "look here" not in page.text
        assert "<script>alert" not in page.text


def test_an_answer_counts_once_in_the_window_that_began_it(product, visitor, stranger):
    begun(product, visitor)
    back = visitor.log_in(ACME)
    stranger.enter(product.link(customer=BRIGHTWATER))
    assert stranger.open(back).status_code == 400
    assert "another browser" in stranger.page.text
    assert connections(product) == []
    assert visitor.open(back).status_code == 200
    assert visitor.open(back).status_code == 400
    assert "used before" in visitor.page.text
    assert connections(product, BRIGHTWATER) == []
    for query in ("", "?state=made-up&code=x", "?code=x"):
        assert visitor.open(f"{product.url}/connect/callback{query}").status_code == 400


def test_a_window_that_serves_another_customer_meanwhile_connects_nobody(product, visitor):
    begun(product, visitor)
    back = visitor.log_in(ACME)
    visitor.enter(product.link(customer=BRIGHTWATER))
    assert visitor.open(back).status_code == 409
    assert connections(product) == connections(product, BRIGHTWATER) == []


def test_an_answer_that_comes_late_is_refused(product, visitor):
    begun(product, visitor)
    back = visitor.log_in(ACME)
    with product.place.store.connect() as connection:
        connection.execute("UPDATE connect_sessions SET attempt_ends_at = now()")
    assert visitor.open(back).status_code == 400
    assert "took too long" in visitor.page.text
    assert connections(product) == []


def test_a_code_that_was_meant_for_another_attempt_is_worth_nothing(product, visitor):
    """PKCE: a stolen code does not fit the verifier of the thief's own window."""
    begun(product, visitor)
    stolen = parse_qs(urlsplit(visitor.log_in(ACME)).query)["code"][0]
    visitor.open(f"{product.url}/connect/")
    visitor.send("/authorize")
    state = parse_qs(urlsplit(visitor.vendor_page()).query)["state"][0]
    page = visitor.open(f"{product.url}/connect/callback?{urlencode({'code': stolen, 'state': state})}")
    assert page.status_code == 400
    assert "works for a few minutes and once" in page.text
    assert connections(product) == []


def test_a_vendor_that_is_down_is_said_to_be(product, visitor):
    begun(product, visitor)
    back = visitor.log_in(ACME)
    product.place.control.fault(ACME, "status", status=503, path="/token")
    page = visitor.open(back)
    assert page.status_code == 502
    assert "cannot be reached at the moment" in page.text
    assert connections(product) == []


def test_an_app_that_the_vendor_does_not_know_is_not_the_customers_fault(product, visitor):
    product.place.environ["CLIENT_SECRET"] = "another"
    product.place.open()
    with serve(product.place.project) as url:
        product.url = url
        begun(product, visitor)
        page = visitor.open(visitor.log_in(ACME))
    assert page.status_code == 502
    assert "please tell them" in page.text


def test_a_revoked_account_connects_again_and_what_waited_goes_on(product, visitor):
    place = product.place
    visitor.connect(product.link(), ACME)
    assert place.sync_one(ACME).status == "success"
    place.control.revoke_tokens(ACME)
    place.control.change(ACME, "Contact", updated=3)
    assert place.sync_one(ACME).error_type == "auth_expired"
    page = visitor.open(f"{product.url}/connect/")
    assert "Connect again to go on" in page.text
    assert "no longer accepts" in page.text
    visitor.send("/authorize")
    assert "Connected" in visitor.open(visitor.log_in(ACME)).text
    assert place.sync_one(ACME).status == "success"
    assert place.differences(ACME) == []


def test_another_account_is_taken_only_when_somebody_says_so(product, visitor):
    place = product.place
    visitor.connect(product.link(), ACME)
    place.sync_one(ACME)
    before = place.content("crm_contact", ACME)
    visitor.open(f"{product.url}/connect/")
    visitor.send("/authorize")
    page = visitor.open(visitor.log_in(BRIGHTWATER))
    assert page.status_code == 409
    assert place.control.account(BRIGHTWATER).account_id in page.text
    visitor.send("/confirm", decision="keep")
    assert "Log in with the account that you used before" in visitor.page.text
    assert connections(product)[0].account_id == place.control.account(ACME).account_id
    assert place.content("crm_contact", ACME) == before

    visitor.open(f"{product.url}/connect/")
    visitor.send("/authorize")
    visitor.open(visitor.log_in(BRIGHTWATER))
    again = visitor.page
    assert "Connected" in visitor.send("/confirm", decision="replace").text
    assert connections(product)[0].account_id == place.control.account(BRIGHTWATER).account_id
    assert place.rows("crm_contact", ACME) == []
    visitor.page = again
    assert visitor.send("/confirm", decision="replace").status_code == 409
    assert place.sync_one(ACME).status == "success"
    ids = {row["id"] for row in place.rows("crm_contact", ACME)}
    assert ids == {each["id"] for each in place.control.truth(BRIGHTWATER, "Contact") if not each["deleted"]} | {
        row["id"] for row in place.rows("crm_contact", ACME) if row["is_deleted"]
    }


def test_disconnecting_ends_the_access_at_the_vendor(product, visitor):
    place = product.place
    visitor.connect(product.link(), ACME)
    tokens = place.project.store.credentials(connections(product)[0]).read()
    visitor.open(f"{product.url}/connect/disconnect")
    assert "nothing new is synced" in visitor.page.text
    assert "Salesforce has ended the access." in visitor.send("/disconnect").text
    assert connections(product) == []
    account = place.control.account(ACME)
    form = {"grant_type": "refresh_token", "client_id": account.client_id, "client_secret": account.client_secret}
    answer = visitor.client.post(
        f"{account.login_url}/services/oauth2/token", data={**form, "refresh_token": tokens.refresh_token.reveal()}
    )
    assert answer.json()["error"] == "invalid_grant"
    assert visitor.open(f"{product.url}/connect/disconnect").status_code == 409
    # The rows of the account that was left are still there: another one is not mixed into them unasked.
    visitor.connect(product.link(), BRIGHTWATER)
    assert visitor.page.status_code == 409
    assert account.account_id in visitor.page.text
    visitor.send("/confirm", decision="replace")
    assert connections(product)[0].account_id == place.control.account(BRIGHTWATER).account_id


def test_a_vendor_that_does_not_listen_is_left_all_the_same(product, visitor):
    visitor.connect(product.link(), ACME)
    product.place.control.fault(ACME, "status", status=503, path="/revoke")
    visitor.open(f"{product.url}/connect/disconnect")
    page = visitor.send("/disconnect")
    assert "could not be told that the access ends" in page.text
    assert connections(product) == []


def test_the_connection_is_tested_on_request(product, visitor):
    visitor.connect(product.link(), ACME)
    assert "The connection works." in visitor.send("/test").text
    product.place.control.revoke_tokens(ACME)
    assert visitor.send("/test").status_code == 502


def test_a_typed_key_is_tried_before_it_is_kept(product, visitor):
    place = product.place
    file = place.folder / "providers" / "hubspot.yaml"
    url = f"{place.control.url}/hubspot"
    file.write_text(f"provider_name: hubspot\nauth_type: api_key\nlogin_url: {url}\napi_url: {url}\n")
    place.open()
    with serve(place.project) as served:
        product.url = served
        visitor.enter(product.link(customer=HARBOR, provider="hubspot"))
        assert "Private app" in visitor.page.text
        shown = visitor.page
        assert visitor.send("/key", access_token="pat-made-up").status_code == 422
        assert connections(product, HARBOR) == []
        visitor.page = shown
        assert visitor.send("/key", access_token=" ").status_code == 422
        visitor.page = shown
        token = place.control.new_tokens(HARBOR)["access_token"]
        assert "Connected" in visitor.send("/key", access_token=f" {token} ").text
        assert token not in visitor.page.text
        (made,) = connections(product, HARBOR)
        assert made.account_id == place.control.account(HARBOR).account_id
        visitor.open(f"{served}/connect/disconnect")
        assert "delete it there" in visitor.send("/disconnect").text
        visitor.open(f"{served}/connect/")
        other = place.control.new_tokens(LUMEN)["access_token"]
        assert visitor.send("/key", access_token=other).status_code == 409
        assert connections(product, HARBOR) == []
        assert "Connected" in visitor.send("/confirm", decision="replace").text
        assert connections(product, HARBOR)[0].account_id == place.control.account(LUMEN).account_id
        with place.store.connect() as connection:
            stored = str(connection.execute("SELECT CAST(a AS text) FROM audit a").fetchall())
        assert token not in stored
