"""Plays golden exchanges to our own client: the requests must be the golden ones, the answers are."""

from dataclasses import dataclass, field
from itertools import count

import httpx

from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.http_client.scripted import as_sent
from sync_pipelines_tests.providers.golden.exchanges import Sent, exchanges, request_mistakes

HOSTS = {
    # Salesforce Help "OAuth Endpoints": login.salesforce.com; the API lives at the instance_url of the token answer.
    "salesforce": {"login": "https://login.salesforce.com", "api": "https://acme.my.salesforce.com"},
    # servers[0] of every file of HubSpot's published OpenAPI.
    "hubspot": {"login": "https://api.hubapi.com", "api": "https://api.hubapi.com"},
}
TOKENS = {"salesforce": "00D5f0000000001!AQ.golden.access", "hubspot": "CPgolden-access"}


_ids = count(1)
"""What one play's vendor says of the account holds for no other play."""


@dataclass(frozen=True)
class Step:
    """One golden exchange of a scenario, with what this scenario must send instead of the golden values."""

    name: str
    instead: dict = field(default_factory=dict)
    answer: dict | None = None
    """Another body than the golden one: the same shape cut shorter, where a scenario needs the last page first."""


class Playback(httpx.BaseTransport):
    """Answers each request with the golden exchange that it matches, the first one of those that are left.

    In which order a client asks is its own business where the vendor's page tokens do not decide it.
    """

    def __init__(self, provider, steps, *, version=None, token=None):
        self.provider = provider
        self.version = version
        self.token = token or TOKENS[provider]
        self.left = [step if isinstance(step, Step) else Step(step) for step in steps]
        self.mistakes = []
        self.sent = []

    def handle_request(self, request):
        sent = Sent.of(as_sent(request))
        self.sent.append(sent)
        if not self.left:
            self._complain(f"one request too many: {sent.method} {sent.path} {sent.params}")
        judged = [
            (self._mistakes(step, sent, f"{request.url.scheme}://{request.url.host}"), step) for step in self.left
        ]
        mistakes, step = next((one for one in judged if not one[0]), judged[0])
        if mistakes:
            self._complain(f"{step.name}: " + "; ".join(mistakes))
        self.left.remove(step)
        golden = exchanges(self.provider)[step.name]
        body = golden.response["body"] if step.answer is None else step.answer
        if isinstance(body, dict) and "access_token" in body:
            self.token = body["access_token"]
        return answer_of(golden, body)

    def _mistakes(self, step, sent, host):
        golden = exchanges(self.provider)[step.name]
        mistakes = request_mistakes(golden, sent, version=self.version, token=self.token, **step.instead)
        documented = HOSTS[self.provider][golden.request.get("host", "api")]
        return mistakes if host == documented else [*mistakes, f"sent to {host}, golden {documented}"]

    def _complain(self, mistake):
        self.mistakes.append(mistake)
        raise AssertionError(mistake)


def answer_of(golden, body):
    content = {"content": body.encode()} if isinstance(body, str) else {"json": body}
    headers = {"Date": "Fri, 01 May 2026 12:00:00 GMT", **golden.response["headers"]}
    return httpx.Response(golden.response["status"], headers=headers, **content)


class Wallet:
    """Credentials of one connection, in memory."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.expired = None

    def read(self):
        return self.tokens

    def refresh(self, stale, fetch):
        if self.tokens.access_token == stale:
            self.tokens = fetch(self.tokens)
        return self.tokens

    def expire(self, reason):
        self.expired = reason


def wallet(provider, *, access=None, refresh=None):
    refresh_tokens = {"salesforce": "5Aep861.golden.refresh", "hubspot": "na1-golden-refresh"}
    return Wallet(
        Tokens(
            access_token=Secret(access or TOKENS[provider]),
            refresh_token=Secret(refresh or refresh_tokens[provider]),
            api_url=HOSTS[provider]["api"],
        )
    )


def play(declared, steps, *, version=None, credentials=None):
    """A session over a Playback, and the Playback: `declared` is the provider's declaration under test."""
    transport = Playback(declared.name, steps, version=version)
    session = VendorSession(
        declared,
        Connection(id=next(_ids), customer_id="golden", provider=declared.name),
        credentials or wallet(declared.name),
        OAuthClient(client_id="golden-client", client_secret=Secret("golden-secret")),
        attempts=1,
        transport=transport,
        sleep=lambda seconds: None,
    )
    return session, transport
