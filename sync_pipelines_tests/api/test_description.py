"""What the API's own description promises, called with what nobody would write."""

import math
import os
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sync_pipelines.api.app import create_app

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
"""About so many. `make fuzz` makes more of them."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOT_HTTP = "Invalid HTTP request received."
"""The server's own answer to what is no request at all, such as an empty Content-Length. It never comes to the API."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def described():
    """Every operation of the description; it needs no store."""
    pace = dict.fromkeys(("api_calls_per_second", "api_burst", "api_strangers_per_second", "api_stranger_burst"), 1)
    project = SimpleNamespace(settings=SimpleNamespace(**pace))
    document = create_app(project).openapi()
    return [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]


def test_no_call_fails_and_every_answer_is_as_described(place, api):
    _, secret = api.token()
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    operations = described()
    # Last, or there would be nothing left to call.
    operations.sort(key=lambda each: each.method == "delete")
    made = Counter()
    each_time = math.ceil(REQUESTS / (len(operations) * len(MODES)))
    for operation in operations:
        for mode in MODES:

            @settings(
                max_examples=each_time,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case):
                answer = case.call(base_url=api.url, headers=headers)
                if answer.text != NOT_HTTP:
                    case.validate_response(answer, checks=CHECKS)
                    made[answer.status_code] += 1

            # An operation without parameters cannot be called wrongly.
            with suppress(Unsatisfiable):
                call()
    print(f"{made.total():,} requests: {dict(sorted(made.items()))}")
    assert made[200] > 0
    assert made[404] > 0
    assert made[422] > 0
    assert made.total() >= REQUESTS * 0.5
