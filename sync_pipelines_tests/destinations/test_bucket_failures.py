"""What S3 refuses or breaks, as an error that says what to do. A server answers over real HTTP what S3 would."""

import http.server
import threading
from datetime import timedelta

import pytest

from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.destinations.s3 import bucket as buckets
from sync_pipelines.model.errors import DestinationBusy, DestinationError
from sync_pipelines.model.secret import Secret
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, ignore, load, rows, scope

SECRET = "an-invented-secret-of-a-test"


@pytest.fixture
def answering(monkeypatch):
    """A destination whose store gives this answer to everything; `asked` counts how often."""
    monkeypatch.setitem(buckets._CONFIG, "retries", {"mode": "standard", "total_max_attempts": 2})
    servers = []

    def make(status, code, **changes):
        class Answer(http.server.BaseHTTPRequestHandler):
            def answer(self):
                make.asked += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = f"<Error><Code>{code}</Code><Message>told {SECRET}</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return at(f"http://127.0.0.1:{server.server_port}", **changes)

    make.asked = 0
    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def at(url, **changes):
    keys = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": Secret(SECRET)}
    values = {"name": "lake", "bucket": "invented-bucket", "region": "us-east-1", "endpoint_url": url}
    return open_destination(S3DestinationConfig(**values | keys | changes), "acme")


def problem_of(destination):
    with (
        pytest.raises((DestinationBusy, DestinationError)) as caught,
        destination.open(scope(), CONTACTS, "run-1", ignore),
    ):
        pass
    problem = caught.value
    assert SECRET not in f"{problem} {problem.detail} {problem!r}"
    assert "invented-bucket" in str(problem)
    assert "lake" in str(problem)
    return problem


@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (403, "AccessDenied", DestinationError, "allow s3:ListBucket"),
        (403, "InvalidAccessKeyId", DestinationError, "correct access_key_id and secret_access_key"),
        (403, "SignatureDoesNotMatch", DestinationError, "correct access_key_id and secret_access_key"),
        (403, "RequestTimeTooSkewed", DestinationError, "clock of this machine"),
        (400, "ExpiredToken", DestinationError, "have expired"),
        (404, "NoSuchBucket", DestinationError, "create the bucket"),
        (400, "IllegalLocationConstraintException", DestinationError, "correct `region`"),
        (501, "NotImplemented", DestinationError, "conditional writes"),
        (418, "SomethingNew", DestinationError, "SomethingNew"),
        (503, "SlowDown", DestinationBusy, "slow down"),
        (500, "InternalError", DestinationBusy, "tried again by itself"),
        (503, "SomethingNew", DestinationBusy, "tried again by itself"),
        (429, "TooManyRequests", DestinationBusy, "tried again by itself"),
    ],
)
def test_what_the_store_answers_becomes_what_to_do(answering, status, code, kind, advice):
    problem = problem_of(answering(status, code))
    assert type(problem) is kind
    assert advice in str(problem)
    assert answering.asked <= 3


def test_a_busy_store_is_asked_again_but_not_for_ever(answering):
    problem_of(answering(503, "SlowDown"))
    assert answering.asked == 2


def test_nobody_there(free_port):
    problem = problem_of(at(f"http://127.0.0.1:{free_port}"))
    assert type(problem) is DestinationBusy
    assert "check the network" in str(problem)


@pytest.fixture
def free_port(monkeypatch):
    import socket

    monkeypatch.setitem(buckets._CONFIG, "retries", {"mode": "standard", "total_max_attempts": 1})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # bound and not listening: nobody else gets it, and nobody answers


def test_without_any_credentials(answering, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    destination = answering(200, "", access_key_id=None, secret_access_key=Secret(""))
    assert "No credentials" in str(problem_of(destination))


def test_a_store_that_ignores_conditions_is_refused_by_check(bucket, monkeypatch):
    """Its answers are as those of moto, but it overwrites whatever it is told."""
    destination = open_destination(S3DestinationConfig(name="lake", **bucket.configuration), "acme")
    client = destination._storage._s3
    put = client.put_object

    def careless(**arguments):
        return put(**{name: value for name, value in arguments.items() if name not in ("IfMatch", "IfNoneMatch")})

    destination.check()
    monkeypatch.setattr(client, "put_object", careless)
    with pytest.raises(DestinationError, match="conditional"):
        destination.check()
    assert bucket.list() == []


def test_an_answer_that_is_lost_on_its_way_is_not_taken_for_somebody_elses_work(bucket, monkeypatch):
    """The client then asks again, and finds its own version in the way."""
    destination = open_destination(S3DestinationConfig(name="lake", **bucket.configuration), "acme")
    client = destination._storage._s3
    put = client.put_object

    def twice(**arguments):
        if "IfMatch" in arguments or "IfNoneMatch" in arguments:
            put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(client, "put_object", twice)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        assert load(landing, rows(1, 2), DONE).created == 2
        assert load(landing, rows(3), DONE).created == 1
        assert landing.checkpoint.version == 2


def test_what_is_lost_is_told(folder_config, tmp_path):
    destination = open_destination(folder_config(), "acme")
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
        (gone,) = (tmp_path / "lake" / "crm_contact").rglob("*.parquet")
        gone.unlink()
        with pytest.raises(DestinationBusy) as caught:
            load(landing, rows(1, minute=1, name="Bea"), DONE)
        assert gone.name in str(caught.value)
    with pytest.raises(DestinationBusy) as caught, destination.open(scope(), CONTACTS, "run-2", ignore):
        pass
    assert gone.name in str(caught.value)


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    destination = open_destination(S3DestinationConfig(name="lake", folder=str(tmp_path / "file" / "lake")), "acme")
    with pytest.raises(DestinationError, match="Correct the folder"):
        destination.check()


def test_another_format_or_prefix_than_the_files_have_is_refused(folder_config):
    from dataclasses import replace

    with open_destination(folder_config(), "acme").open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    with (
        pytest.raises(DestinationError, match="asks for jsonl"),
        open_destination(folder_config(format="jsonl"), "acme").open(scope(), CONTACTS, "run-2", ignore),
    ):
        pass
    other = replace(CONTACTS, metadata_prefix="_supaglue_")
    with (
        pytest.raises(DestinationError, match="_supaglue_"),
        open_destination(folder_config(), "acme").open(scope(), other, "run-2", ignore),
    ):
        pass


HOSTILE = ["..", ".", "_x", "a/b", "a\\b", "ü 🙂 %2F", "x" * 300, "*", "a=b"]


@pytest.mark.parametrize("customer", HOSTILE)
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_hostile_customers_stay_in_their_place(request, kind, customer, tmp_path):
    config = request.getfixturevalue(f"{kind}_config")(prefix="p/${CUSTOMER_ID}", grace=timedelta(0))
    destination = open_destination(config, customer)
    with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        load(landing, rows(2), DONE)
    destination.compact(scope(customer), CONTACTS)
    with open_destination(config, customer).open(scope(customer), CONTACTS, "run-2", ignore) as landing:
        names, found = landing.sample(5)
        assert {row[names.index("_sync_customer_id")] for row in found} == {customer}
        assert len(found) == 2
    if kind == "folder":
        assert [path.name for path in tmp_path.iterdir()] == ["lake"]
        assert [path.name for path in (tmp_path / "lake").iterdir()] == ["p"]
    else:
        assert {key.split("/")[0] for key in request.getfixturevalue("bucket").list()} == {"p"}
