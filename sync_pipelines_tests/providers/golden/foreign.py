"""What the two foreign-client suites share: a seeded sandbox and our own reading of the same account."""

import json

from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.flow import Page
from sync_pipelines.model.provider import ReadPlan, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.providers.golden.playback import Wallet

EPOCH = "2026-05-02T00:00:00Z"
BEFORE_ALL = "2020-01-01T00:00:00+00:00"


def our_session(account, declared=None, *, access=None, **rest):
    """A VendorSession on one invented account, over real HTTP. It never waits: the sandbox counts no limits here."""
    tokens = Tokens(access_token=Secret(access or account.access_token), refresh_token=Secret(account.refresh_token))
    return VendorSession(
        declared or PROVIDERS[account.vendor],
        Connection(
            id=1,
            customer_id=account.id,
            provider=account.vendor,
            environment=account.environment,
            account_id=account.account_id,
            login_url=account.login_url,
            api_url=account.api_url,
        ),
        Wallet(tokens),
        OAuthClient(client_id=account.client_id, client_secret=Secret(account.client_secret)),
        sleep=lambda seconds: None,
        **rest,
    )


def our_schema(account, name):
    declared = PROVIDERS[account.vendor]
    with our_session(account) as session:
        return session.ask(declared.describe(declared.find_object(name)))


def our_records(account, name, declared=None, **rest):
    """Every record as our provider reads it, by id; each id once."""
    declared = declared or PROVIDERS[account.vendor]
    crm_object = declared.find_object(name)
    read = {}
    with our_session(account, declared) as session:
        plan = ReadPlan(object=crm_object, fields=session.ask(declared.describe(crm_object)).fields, **rest)
        for step in session.read(declared.read(plan)):
            assert isinstance(step, Page), step
            for text in step.records:
                record = json.loads(text)
                (key,) = crm_object.shape.id
                assert record[key] not in read, "read twice"
                read[record[key]] = record
    return read
