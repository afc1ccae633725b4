"""A vendor that answers from a script, behind the real VendorSession: auth, retries and pacing run as in production."""

import itertools
import threading
from dataclasses import replace

import httpx

from sync_pipelines.http_client import VendorSession
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.errors import Reauthorize
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret

_ids = itertools.count(1)


class StoredTokens:
    """What the store does for one connection: one refresh at a time, whoever waits finds the other's tokens."""

    def __init__(self, access="first-token", refresh="refresh-secret", **rest):
        self.tokens = Tokens(access_token=Secret(access), refresh_token=Secret(refresh) if refresh else None, **rest)
        self.lock = threading.Lock()
        self.fetched = 0
        self.expired = None

    def read(self):
        if self.expired:
            raise Reauthorize(self.expired)
        return self.tokens

    def refresh(self, stale, fetch):
        with self.lock:
            if self.tokens.access_token == stale:
                self.fetched += 1
                new = fetch(self.tokens)
                self.tokens = replace(new, refresh_token=new.refresh_token or self.tokens.refresh_token)
            return self.tokens

    def expire(self, reason):
        self.expired = reason


class Vendor:
    """`answer`: a function of the request, or answers to give in turn (a response, an error to raise, a function)."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.requests.append(request)
            answer = self.answers[0] if len(self.answers) == 1 and callable(self.answers[0]) else self.answers.pop(0)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def paths(self):
        return [request.url.path for request in self.requests]


def answer(json=None, status=200, **rest):
    return httpx.Response(status, json=json, **rest)


def as_sent(request):
    """The request with the URL that its target makes, as a server sees it."""
    if "target" in request.extensions:
        request.url = request.url.copy_with(raw_path=request.extensions["target"])
    return request


def answered_by(vendor):
    """A transport: `vendor` makes a response of each request."""
    return httpx.MockTransport(lambda request: vendor(as_sent(request)))


class Conversation:
    """A session with a scripted vendor; `slept` are the seconds it would have waited."""

    def __init__(self, provider, vendor, *, credentials=None, connection=None, **options):
        self.vendor = vendor
        self.slept = []
        self.credentials = credentials or StoredTokens()
        number = next(_ids)
        given = {"login_url": "https://login.example", "api_url": "https://api.example"} | (connection or {})
        self.connection = Connection(id=number, customer_id=f"customer{number}", provider=provider.name, **given)
        options.setdefault("sleep", self.slept.append)
        self.session = VendorSession(
            provider,
            self.connection,
            self.credentials,
            OAuthClient(client_id="app", client_secret=Secret("app-secret")),
            transport=answered_by(vendor),
            **options,
        )

    def ask(self, flow):
        return self.session.ask(flow)

    def read(self, flow):
        """(pages, notices) of a whole read."""
        steps = list(self.session.read(flow))
        return (
            [step for step in steps if isinstance(step, Page)],
            [step for step in steps if isinstance(step, Notice)],
        )
