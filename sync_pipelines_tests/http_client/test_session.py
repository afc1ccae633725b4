"""The driver of flows: authentication, retries, waiting, broken answers, secrets."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from sync_pipelines.model.errors import (
    ConfigurationError,
    NetworkError,
    ProtocolError,
    Reauthorize,
    SkipObject,
    Stopped,
    VendorError,
    Wait,
)
from sync_pipelines.model.flow import Get, Notice, Page, Pause
from sync_pipelines.model.provider import OwnApp
from sync_pipelines.model.secret import Secret
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import Conversation, StoredTokens, Vendor, answer

HUBSPOT = PROVIDERS["hubspot"]
SALESFORCE = PROVIDERS["salesforce"]
TOKEN = answer({"access_token": "second-token", "expires_in": 1800})


def one_call(**rest):
    response = yield Get("/thing", **rest)
    return response.json()


def conversation(*answers, provider=HUBSPOT, **options):
    return Conversation(provider, Vendor(*answers), **options)


def test_a_call_carries_the_bearer_token_and_goes_to_the_connections_own_host():
    talk = conversation(answer({"a": 1}))
    assert talk.ask(one_call(params={"q": "x y", "many": ["1", "2"]})) == {"a": 1}
    (request,) = talk.vendor.requests
    assert str(request.url) == "https://api.example/thing?q=x%20y&many=1&many=2"
    assert request.headers["authorization"] == "Bearer first-token"
    assert talk.session.calls == 1


def test_the_token_responses_own_url_is_used_where_the_connection_names_none():
    credentials = StoredTokens(api_url="https://org.example/base/")
    talk = conversation(answer({}), provider=SALESFORCE, credentials=credentials, connection={"api_url": None})
    talk.ask(one_call())
    assert str(talk.vendor.requests[0].url) == "https://org.example/base/thing"


def test_a_401_refreshes_once_and_moves_to_the_url_that_the_refresh_tells():
    moved = answer({"access_token": "second-token", "instance_url": "https://new.example"})
    talk = conversation(
        answer([{"errorCode": "INVALID_SESSION_ID", "message": "expired"}], 401),
        moved,
        answer({"a": 1}),
        provider=SALESFORCE,
        credentials=StoredTokens(api_url="https://old.example"),
        connection={"api_url": None},
    )
    assert talk.ask(one_call()) == {"a": 1}
    first, token, second = talk.vendor.requests
    assert (first.url.host, token.url.host, second.url.host) == ("old.example", "login.example", "new.example")
    assert (
        token.content == b"grant_type=refresh_token&client_id=app&refresh_token=refresh-secret&client_secret=app-secret"
    )
    assert "authorization" not in token.headers
    assert second.headers["authorization"] == "Bearer second-token"
    assert talk.session.calls == 3


@pytest.mark.parametrize(
    ("environment", "own", "host"),
    [
        ("production", None, "login.salesforce.com"),
        ("sandbox", None, "test.salesforce.com"),
        ("sandbox", "https://acme--uat.sandbox.my.salesforce.com", "acme--uat.sandbox.my.salesforce.com"),
    ],
)
def test_tokens_are_refreshed_where_the_connections_environment_lives(environment, own, host):
    talk = conversation(
        answer([{"errorCode": "INVALID_SESSION_ID", "message": "expired"}], 401),
        answer({"access_token": "second-token", "instance_url": "https://acme--uat.sandbox.my.salesforce.com"}),
        answer({"a": 1}),
        provider=SALESFORCE,
        credentials=StoredTokens(api_url="https://old.example"),
        connection={"environment": environment, "login_url": own, "api_url": None},
    )
    assert talk.ask(one_call()) == {"a": 1}
    assert [request.url.host for request in talk.vendor.requests][1:] == [host, "acme--uat.sandbox.my.salesforce.com"]


def test_a_token_about_to_end_is_refreshed_before_the_call():
    credentials = StoredTokens(expires_at=datetime.now(UTC) + timedelta(seconds=20))
    talk = conversation(TOKEN, answer({}), credentials=credentials)
    talk.ask(one_call())
    assert talk.vendor.paths() == ["/oauth/v1/token", "/thing"]


def test_two_threads_with_one_stale_token_refresh_it_once():
    both_refused = threading.Barrier(2)
    credentials = StoredTokens()

    def vendor(request):
        if request.url.path == "/oauth/v1/token":
            return httpx.Response(200, json={"access_token": "second-token"})
        if request.headers["authorization"] == "Bearer first-token":
            both_refused.wait(timeout=10)
            return answer({}, 401)
        return answer({"fresh": True})

    talks = [conversation(vendor, credentials=credentials) for _ in range(2)]
    results = []
    threads = [threading.Thread(target=lambda talk=talk: results.append(talk.ask(one_call()))) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert results == [{"fresh": True}] * 2
    assert credentials.fetched == 1


def test_a_refused_refresh_expires_the_connection():
    talk = conversation(answer({}, 401), answer({"status": "BAD_REFRESH_TOKEN", "error": "invalid_grant"}, 400))
    with pytest.raises(Reauthorize, match="connect again"):
        talk.ask(one_call())
    assert "connect again" in talk.credentials.expired


def test_a_refused_app_is_a_matter_of_configuration_and_expires_nobody():
    talk = conversation(answer({}, 401), answer({"error": "invalid_client"}, 400), provider=SALESFORCE)
    with pytest.raises(ConfigurationError, match="client id"):
        talk.ask(one_call())
    assert talk.credentials.expired is None


def test_a_busy_token_endpoint_is_asked_again():
    talk = conversation(answer({}, 401), answer({}, 503), answer({}, 401), TOKEN, answer({"a": 1}))
    assert talk.ask(one_call()) == {"a": 1}


def test_a_second_401_after_a_refresh_asks_the_customer_to_reconnect():
    talk = conversation(answer({}, 401), TOKEN, answer({}, 401))
    with pytest.raises(Reauthorize):
        talk.ask(one_call())
    assert talk.session.calls == 3


def test_a_static_token_that_is_refused_expires_the_connection():
    talk = conversation(answer({}, 401), credentials=StoredTokens(refresh=None))
    with pytest.raises(Reauthorize):
        talk.ask(one_call())
    assert talk.credentials.expired


def test_a_refresh_token_alone_is_enough():
    talk = conversation(TOKEN, answer({"a": 1}), credentials=StoredTokens(access=""))
    assert talk.ask(one_call()) == {"a": 1}
    assert talk.vendor.paths() == ["/oauth/v1/token", "/thing"]


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "\N{SNOWMAN}"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_printed(token):
    talk = conversation(answer({}), credentials=StoredTokens(access=token, refresh=None))
    with pytest.raises(Reauthorize) as refusal:
        talk.ask(one_call())
    assert not token or token not in str(refusal.value)


@pytest.mark.parametrize(
    "trouble",
    [
        answer({}, 500),
        answer(None, 502),
        answer({}, 423),
        answer({}, 477),
        answer({}, 524),
        httpx.Response(200, html="<html>maintenance</html>"),
        httpx.Response(503, html="<html>maintenance</html>"),
        httpx.Response(200, content=b'{"results": [{"id": "1"}', headers={"content-type": "application/json"}),
        httpx.Response(200, content=b'{"a"', headers={"content-type": "application/json", "content-length": "9"}),
        httpx.Response(200, content=b"", headers={"content-type": "application/json"}),
        httpx.RemoteProtocolError("peer closed connection"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("slow"),
        httpx.DecodingError("gzip"),
    ],
)
def test_trouble_that_passes_is_tried_again(trouble):
    talk = conversation(trouble, answer({"a": 1}))
    assert talk.ask(one_call()) == {"a": 1}
    assert len(talk.slept) == 1
    assert 0.4 < talk.slept[0] < 1.1


@pytest.mark.parametrize(
    ("trouble", "error", "error_type"),
    [
        (lambda request: answer({}, 500), VendorError, "vendor_error"),
        (lambda request: httpx.ConnectError("refused"), NetworkError, "network"),
        (lambda request: httpx.Response(200, html="<html></html>"), VendorError, "vendor_error"),
        (lambda request: answer({}, 429), Wait, "rate_limit"),
    ],
)
def test_trouble_that_stays_comes_out_by_its_type_after_the_attempts(trouble, error, error_type):
    talk = conversation(trouble, attempts=4)
    with pytest.raises(error) as failure:
        talk.ask(one_call())
    assert failure.value.error_type == error_type
    assert talk.session.calls == 4
    assert talk.slept == sorted(talk.slept)


def test_a_429_with_retry_after_in_seconds_waits_so_long():
    talk = conversation(answer({}, 429, headers={"retry-after": "7"}), answer({"a": 1}))
    assert talk.ask(one_call()) == {"a": 1}
    assert 6.5 < talk.slept[0] <= 7


def test_retry_after_as_a_date_is_read_on_the_vendors_clock():
    vendor_clock = datetime(2031, 1, 1, tzinfo=UTC)
    headers = {
        "date": format_datetime(vendor_clock, usegmt=True),
        "retry-after": format_datetime(vendor_clock + timedelta(seconds=30), usegmt=True),
    }
    talk = conversation(answer({}, 503, headers=headers), answer({"a": 1}))
    assert talk.ask(one_call()) == {"a": 1}
    assert 29 < talk.slept[0] <= 30


def test_a_wait_of_hours_is_left_to_whoever_schedules():
    talk = conversation(answer({}, 477, headers={"retry-after": "86400"}))
    with pytest.raises(Wait) as wait:
        talk.ask(one_call())
    assert timedelta(hours=23) < wait.value.until - datetime.now(UTC) <= timedelta(hours=24)
    assert talk.slept == []


def test_a_429_holds_the_other_sessions_of_the_account_too():
    connection = {"account_id": "portal-that-both-share"}
    one = conversation(answer({}, 429, headers={"retry-after": "90"}), answer({}), connection=connection, attempts=1)
    other = conversation(answer({}), connection=connection)
    with pytest.raises(Wait):
        one.ask(one_call())
    other.ask(one_call())
    assert 85 < other.slept[0] <= 90


def test_hubspots_daily_limit_is_not_waited_for():
    talk = conversation(answer({"policyName": "DAILY"}, 429))
    with pytest.raises(Wait) as wait:
        talk.ask(one_call())
    assert wait.value.until > datetime.now(UTC) + timedelta(minutes=50)
    assert talk.session.calls == 1


def test_salesforces_spent_quota_is_not_hammered_while_a_short_jam_is_waited_out():
    refusal = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "limit"}]
    spent = conversation(
        answer(refusal, 403, headers={"Sforce-Limit-Info": "api-usage=5000/5000"}), provider=SALESFORCE
    )
    with pytest.raises(Wait):
        spent.ask(one_call())
    assert spent.session.calls == 1
    assert spent.session.quota == (5000, 5000)
    jam = conversation(
        answer(refusal, 403, headers={"Sforce-Limit-Info": "api-usage=18/5000"}), answer({"a": 1}), provider=SALESFORCE
    )
    assert jam.ask(one_call()) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, {"category": "MISSING_SCOPES", "context": {"requiredScopes": ["crm.objects.leads.read"]}}, SkipObject),
        (404, {"category": "OBJECT_NOT_FOUND"}, SkipObject),
        (400, {"category": "VALIDATION_ERROR", "message": "bad sort"}, ProtocolError),
        (530, {}, Reauthorize),
    ],
)
def test_refusals_that_trying_again_cannot_change_come_at_once(status, body, error):
    talk = conversation(answer(body, status))
    with pytest.raises(error) as failure:
        talk.ask(one_call())
    assert talk.session.calls == 1
    scopes = body.get("context", {}).get("requiredScopes", [])
    assert all(scope in str(failure.value) for scope in scopes)


def test_a_status_that_the_flow_accepts_comes_to_the_flow():
    def flow():
        return (yield Get("/thing", accept=frozenset({404}))).status

    assert conversation(answer({}, 404)).ask(flow()) == 404


def test_a_flow_can_go_on_after_an_error_that_it_names():
    def flow():
        try:
            yield Get("/gone")
        except SkipObject:
            return (yield Get("/other")).json()

    assert conversation(answer({}, 404), answer("found")).ask(flow()) == "found"


def test_a_repeated_page_token_is_an_error_and_not_an_endless_loop():
    def flow():
        while True:
            response = yield Get("/page")
            yield Page(records=[b"{}"], resume={"after": response.json()["after"]})

    talk = conversation(answer({"after": "1"}), answer({"after": "2"}), answer({"after": "1"}))
    read = talk.session.read(flow())
    assert [next(read).resume, next(read).resume] == [{"after": "1"}, {"after": "2"}]
    with pytest.raises(ProtocolError, match="same page token"):
        next(read)


def test_an_address_on_another_server_never_gets_the_token():
    def flow():
        yield Get("https://evil.example/next")

    talk = conversation(answer({}))
    with pytest.raises(ProtocolError, match="another server"):
        talk.ask(flow())
    assert talk.vendor.requests == []


def test_a_redirect_is_not_followed():
    talk = conversation(answer({}, 302, headers={"location": "https://evil.example/"}), answer({"a": 1}))
    assert talk.ask(one_call()) == {"a": 1}
    assert {request.url.host for request in talk.vendor.requests} == {"api.example"}


def test_pauses_are_slept_and_notices_of_questions_are_kept():
    def flow():
        yield Pause(12.5)
        yield Notice(message="look")
        return 3

    talk = conversation(answer({}))
    assert talk.ask(flow()) == 3
    assert talk.slept == [12.5]
    assert [notice.message for notice in talk.session.notices] == ["look"]


def test_a_stop_ends_a_long_pause_at_once():
    stop = threading.Event()
    started = threading.Event()

    def flow():
        started.set()
        yield Pause(3600)

    talk = conversation(answer({}), stop=stop, sleep=None)
    failures = []

    def work():
        try:
            talk.ask(flow())
        except Stopped as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    stop.set()
    thread.join(timeout=10)
    assert len(failures) == 1


def test_the_vendors_clock_is_the_newest_date_header():
    talk = conversation(answer({}, headers={"date": "Thu, 01 Jan 2026 10:00:00 GMT"}))
    assert abs(talk.session.vendor_now() - datetime.now(UTC)) < timedelta(seconds=5)
    talk.ask(one_call())
    seen = talk.session.vendor_now()
    assert timedelta(0) <= seen - datetime(2026, 1, 1, 10, tzinfo=UTC) < timedelta(seconds=5)


def test_the_quota_is_what_the_vendor_tells():
    headers = {"X-HubSpot-RateLimit-Daily": "1000", "X-HubSpot-RateLimit-Daily-Remaining": "990"}
    talk = conversation(answer({}, headers=headers), answer({}))
    talk.ask(one_call())
    talk.ask(one_call())
    assert talk.session.quota == (10, 1000)


def test_an_unknown_environment_names_the_known_ones():
    talk = conversation(answer({}), connection={"environment": "moon"})
    with pytest.raises(ConfigurationError, match="production, sandbox"):
        talk.ask(one_call())


def test_a_url_that_is_none_is_a_matter_of_configuration():
    talk = conversation(httpx.UnsupportedProtocol("no scheme"), connection={"api_url": "ftp://x"})
    with pytest.raises(ConfigurationError, match="API URL"):
        talk.ask(one_call())


def test_no_secret_shows_in_logs_or_errors_whatever_happens(caplog):
    caplog.set_level(logging.DEBUG)
    secrets = ("first-token", "second-token", "third-token", "refresh-secret", "app-secret")
    talk = conversation(
        answer({}, 500),
        httpx.ConnectError("first"),
        answer({"message": "no"}, 401),
        answer({"access_token": "second-token", "refresh_token": "third-token"}),
        answer({"message": "still no"}, 403),
    )
    with pytest.raises(SkipObject) as refusal:
        talk.ask(one_call())
    refused = conversation(
        answer({}, 401), answer({"error": "weird", "hint": "refresh-secret app-secret"}, 418), attempts=1
    )
    with pytest.raises(VendorError) as odd:
        refused.ask(one_call())
    said = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    for error in (refusal.value, odd.value):
        said += f"{error!r} {error} {error.detail} {error.__cause__!r}"
    assert "/thing" in said
    assert not [secret for secret in secrets if secret in said]


def test_an_app_of_the_customers_own_gets_tokens_and_no_answer_tells_its_secret(caplog):
    caplog.set_level(logging.DEBUG)
    app = OwnApp(client_id="its-app", client_secret=Secret("its-secret"))
    pair = "aXRzLWFwcDppdHMtc2VjcmV0"
    echo = [{"errorCode": "ODD", "message": f"weird: its-secret Basic {pair}"}]
    talk = conversation(
        TOKEN,
        answer({"a": 1}),
        answer(echo, 400),
        provider=SALESFORCE,
        credentials=StoredTokens(access="", refresh=None, app=app),
        attempts=1,
    )
    assert talk.ask(one_call()) == {"a": 1}
    first, second = talk.vendor.requests
    assert (first.url.host, first.content) == ("login.example", b"grant_type=client_credentials")
    assert (first.headers["authorization"], second.headers["authorization"]) == (f"Basic {pair}", "Bearer second-token")
    with pytest.raises(ProtocolError) as odd:
        talk.ask(one_call())
    assert talk.credentials.tokens.app == app
    said = caplog.text + f"{odd.value!r} {odd.value} {odd.value.detail}"
    assert "weird" in said
    assert not [secret for secret in ("its-secret", pair) if secret in said]
