"""The connect page over real HTTP, and a browser without a screen: it keeps cookies and sends the forms it is shown."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA


class Forms(HTMLParser):
    """The forms of a page: action, and the values of its inputs and selects."""

    def __init__(self, text):
        super().__init__()
        self.forms, self.links, self.select = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "form":
            self.forms.append((named.get("action", ""), {}))
        elif tag == "a":
            self.links.append(named.get("href", ""))
        elif tag == "input" and self.forms and (named.get("type") != "radio" or "checked" in named):
            self.forms[-1][1][named["name"]] = named.get("value", "")
        elif tag == "select" and self.forms:
            self.select = named["name"]
            self.forms[-1][1].setdefault(self.select, "")
        elif tag == "option" and "selected" in named and self.select:
            self.forms[-1][1][self.select] = named.get("value", "")

    def form(self, ending):
        return next(each for each in self.forms if each[0].endswith(ending))


@dataclass
class Visitor:
    """One browser. `page` is what it shows."""

    page: httpx.Response = None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(follow_redirects=True, timeout=60))

    def open(self, url, **rest):
        self.page = self.client.get(url, **rest)
        return self.page

    def enter(self, link):
        """Open a product's link and press its button."""
        self.open(link)
        return self.send(urlsplit(link).path) if "/connect/open/" in str(self.page.url) else self.page

    def send(self, ending, **values):
        """Send the page's form whose action ends like this, with these values besides its own."""
        action, own = Forms(self.page.text).form(ending)
        self.page = self.client.post(action, data={**own, **values})
        return self.page

    def vendor_page(self):
        """Where the page in between leads."""
        link = next(each for each in Forms(self.page.text).links if "authorize" in each)
        return link.replace("&amp;", "&")

    def log_in(self, account, decision="allow"):
        """Log in at the vendor; the address to which it sends back."""
        url = self.vendor_page()
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        with httpx.Client(trust_env=False) as vendor:
            assert vendor.get(url).status_code == 200
            back = vendor.post(url.split("?")[0], data={**asked, "account": account, "decision": decision})
        return back.headers["location"]

    def connect(self, url, account):
        """All of it: open the link, log in, come back."""
        self.enter(url)
        self.send("/authorize")
        return self.open(self.log_in(account))


@dataclass
class Product:
    """A product's backend, which makes links."""

    place: object
    url: str

    def client(self, *scopes, **rest):
        _, secret = self.place.project.store.tokens.create("product", scopes or ("connections:write",), **rest)
        return httpx.Client(
            base_url=self.url + "/api/v1", headers={"Authorization": f"Bearer {secret.reveal()}"}, timeout=60
        )

    def link(self, customer=ACME, provider="salesforce", **rest):
        with self.client() as client:
            answer = client.post("/connect-sessions", json={"customer_id": customer, "provider": provider, **rest})
        assert answer.status_code == 201, answer.text
        return answer.json()["url"]


@pytest.fixture
def product(place):
    """A place with one sync of contacts with a custom schema, served; nobody is connected."""
    place.options |= {"api_burst": 5_000, "product_name": "Orbit CRM Insights"}
    place.write_sync(objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}], schedule={"every": "1h"})
    with serve(place.project) as url:
        yield Product(place, url)


@pytest.fixture
def visitor():
    browser = Visitor()
    yield browser
    browser.client.close()


@pytest.fixture
def stranger():
    browser = Visitor()
    yield browser
    browser.client.close()
