"""Secrets are taken out of texts, and nothing else is."""

import gc

import pytest

from sync_pipelines.logs import masked, without_known
from sync_pipelines.model.secret import Secret, known_texts

FOUND = (
    ("GET /x\nAuthorization: Bearer 00D5g!AQ.abc_def-123\nAccept: */*", "00D5g!AQ.abc_def-123"),
    ("{'authorization': 'Bearer pat-na1-1234-5678'}", "pat-na1-1234-5678"),
    ('headers={"Authorization": "Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
    ("sent bearer eyJhbGciOi.eyJzdWIi.c2ln to it", "eyJhbGciOi.eyJzdWIi.c2ln"),
    ("cannot reach postgresql+psycopg://sync:p%40ss-word@db:5432/store", "p%40ss-word"),
    ("https://user:pa:ss@word@proxy.example/path", "pa:ss@word"),
    ("redis://:only-a-password@cache:6379/0", "only-a-password"),
    ("GET https://api.example/v1?hapikey=abc123def&limit=5 HTTP/1.1", "abc123def"),
    ("POST /token grant_type=refresh_token&refresh_token=r3fr3sh.tok&client_secret=s%26t", "r3fr3sh.tok"),
    ("POST /token grant_type=refresh_token&refresh_token=r3fr3sh.tok&client_secret=s%26t", "s%26t"),
    ("https://app.example/callback?code=auth-c0de&state=x", "auth-c0de"),
    ("connection failed: host=db user=sync password=plain-one dbname=store", "plain-one"),
    ("connection failed: host=db password='with a space' dbname=store", "with a space"),
    ('{"access_token": "00Dxx", "instance_url": "https://x"}', "00Dxx"),
    ("{'client_secret': 'sh, it is one', 'grant_type': 'x'}", "sh, it is one"),
    ("X-Api-Key: 7f3a-not-for-logs\nAccept: */*", "7f3a-not-for-logs"),
    ("{'x-hubspot-signature-v3': 'aGVsbG8='}", "aGVsbG8="),
    ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("the app's pat-eu1-0a1b2c3d-4e5f-6789-abcd-ef0123456789 is old", "0a1b2c3d-4e5f-6789-abcd-ef0123456789"),
    ("POST https://hooks.slack.com/services/T0/B0/hush-hush -> 200", "T0/B0/hush-hush"),
    ('"https://hooks.zapier.com/hooks/standard/1/abc/"', "standard/1/abc"),
    ("used sp_" + "aB3_-" * 8 + "xyz here", "aB3_-" * 8),
)

KEPT = (
    "The key of the transform `hash` is not set.",
    "https://api.example/v1/contacts?limit=100&after=20",
    "Salesforce gave the same page token twice: an endless loop.",
    "error_code=INVALID_FIELD at row 12:30:45",
    "user@example.com wrote to sales@example.com",
    "Basic fields: id, name",
    "X-Request-ID: 0a1b2c3d, X-Frame-Options: DENY",
    "a pat-on-the-back for whsec_ and for pat-na1",
    "column token_count = 5, and decode=fast",
)


@pytest.mark.parametrize(("text", "secret"), FOUND)
def test_what_looks_like_a_secret_is_taken_out(text, secret):
    clean = masked(text)
    assert secret not in clean
    assert "***" in clean
    assert masked(clean) == clean


def test_what_stands_around_a_secret_stays():
    assert masked("GET /x?access_token=abc&limit=5 -> 200") == "GET /x?access_token=***&limit=5 -> 200"
    assert masked("postgresql://sync:pw@db:5432/store is away") == "postgresql://sync:***@db:5432/store is away"


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_a_secret_that_is_in_use_is_found_wherever_it_stands():
    one, same = Secret("zw/eite silbe"), Secret("zw/eite silbe")
    for text in ("said zw/eite silbe so", "path zw%2Feite%20silbe"):
        assert "silbe" not in without_known(text)
    del one
    gc.collect()
    assert without_known("zw/eite silbe") == "***", "another one of the same text is in use"
    del same
    gc.collect()
    assert "zw/eite silbe" not in known_texts()
    assert without_known(Secret("short").reveal()) == "short"


def test_hostile_texts_do_not_hang_it():
    """A hundred thousand characters of whatever a pattern begins with; backtracking would take minutes."""
    for piece in (
        "password='",
        "://a:",
        "Bearer ",
        "authorization: ",
        "'token':",
        'secret="',
        "x-",
        "x-api-key",
        "pat-na1-",
    ):
        assert masked(piece * (100_000 // len(piece)))
