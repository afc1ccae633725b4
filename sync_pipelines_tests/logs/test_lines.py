"""Lines of the log: text and JSON, with the fields of what is being done, and clean whoever says them."""

import io
import json
import logging
import sys
import threading
from contextvars import copy_context

import httpx
import pytest

from sync_pipelines.logs import bound, configure, know
from sync_pipelines.logs.setup import OURS
from sync_pipelines.model.secret import Secret
from sync_pipelines.settings import LogSettings

SECRET = "the-secret-of-this-test"


@pytest.fixture
def written(capsys):
    """What was written to standard error since it was last asked."""
    return lambda: capsys.readouterr().err


def test_a_line_of_json_has_fields_and_trace(written):
    configure(LogSettings(log_format="json"))
    kept = Secret(SECRET)
    with bound(sync="crm", customer_id="acme"), bound(request_id="r-1"):
        try:
            raise ValueError(f"dsn postgresql://u:{kept.reveal()}@db")
        except ValueError:
            logging.getLogger("sync_pipelines.test").exception(
                "It failed with %s", SECRET, extra={"provider": "hubspot"}
            )
    logging.getLogger("sync_pipelines.test").info("Later")
    first, second = map(json.loads, written().splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("ERROR", "sync_pipelines.test", "It failed with ***")
    fields = {name: first[name] for name in ("request_id", "sync", "customer_id", "provider")}
    assert fields == {"request_id": "r-1", "sync": "crm", "customer_id": "acme", "provider": "hubspot"}
    assert "ValueError: dsn postgresql://u:***@db" in first["trace"]
    assert (second["message"], "sync" in second, "trace" in second) == ("Later", False, False)
    assert second["time"].endswith("+00:00")


def test_a_line_of_text_ends_with_the_fields(written):
    configure(LogSettings(), level="WARNING")
    with bound(customer_id="acme", sync="crm"):
        # A thread of ours takes its maker's fields along.
        said = copy_context()
        thread = threading.Thread(target=said.run, args=(logging.getLogger(OURS).warning, "100% done"))
        thread.start()
        thread.join()
    logging.getLogger(OURS).info("not shown")
    logging.getLogger("other.library").info("nor this")
    (line,) = written().splitlines()
    assert line.endswith(" WARNING sync_pipelines: 100% done [sync=crm customer_id=acme]")


def test_handlers_of_others_get_clean_records_too(written):
    """Of loggers that are not ours, and when only the records are cleaned and nobody's lines are written."""
    configure(LogSettings(), logger=None)
    stream = io.StringIO()
    theirs, third_party = logging.StreamHandler(stream), logging.getLogger("httpx")
    third_party.addHandler(theirs)
    third_party.setLevel(logging.DEBUG)
    try:
        transport = httpx.MockTransport(lambda request: httpx.Response(200))
        with httpx.Client(transport=transport) as client:
            client.get(f"https://user:{SECRET}@api.example/x?access_token={SECRET}&limit=1")
        third_party.warning({"event": f"structured, password={SECRET}"})
        third_party.info("%s rows", 5)
    finally:
        third_party.removeHandler(theirs)
    said = stream.getvalue()
    assert "api.example/x" in said
    assert "5 rows" in said
    assert SECRET not in said
    assert SECRET not in written()


def test_what_nobody_caught_is_told_without_secrets(written):
    configure(LogSettings())
    know([Secret(SECRET)])

    def fails():
        raise RuntimeError(f"echo {SECRET}")

    thread = threading.Thread(target=fails, name="worker")
    thread.start()
    thread.join()
    try:
        fails()
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
    told = written()
    assert told.count("RuntimeError: echo ***") == 2
    assert "In the thread worker" in told
