"""What the API's own description promises, called as it is meant and with what nobody would write."""

import math
import os
import random
from collections import Counter
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.errors import UnsupportedSchema

from sync_pipelines.api.app import create_app
from sync_pipelines_tests.api.sound_calls import known_by

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "500"))
"""About so many. `make fuzz` makes more of them."""
SEED = os.environ.get("FUZZ_SEED", "1")
"""Decides, with the description, every call that is made."""

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


class Fuzzing:
    """Calls operations and checks each answer. `made` counts statuses of random calls, `refused` are sound ones."""

    def __init__(self, api, client, known):
        self._url, self._known = api.url, known
        self._headers = {"Authorization": client.headers["Authorization"]}
        self.made, self.refused = Counter(), []

    def sound(self, operation):
        answer = self._checked(self._known.call(operation))
        if answer.status_code >= 300:
            self.refused.append(f"{operation.label}: {answer.status_code} {answer.text}")

    def random(self, operation, mode, most):
        """At most so many calls. Half of them name what is there: no random id ever would."""

        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @seed(random.Random(f"{SEED} {operation.label} {mode}").getrandbits(64))
        @given(case=operation.as_strategy(generation_mode=mode), there=st.booleans())
        def call(case, there):
            if there and operation.path_parameters:
                case.path_parameters = self._known.path_parameters(operation)
            answer = self._checked(case)
            if answer.text != NOT_HTTP:
                self.made[answer.status_code] += 1

        # An operation without parameters cannot be called wrongly, and of some schemas no wrong value can be made.
        with suppress(Unsatisfiable, UnsupportedSchema):
            call()

    def _checked(self, case):
        answer = case.call(base_url=self._url, headers=self._headers)
        if answer.text != NOT_HTTP:
            case.validate_response(answer, checks=CHECKS)
        return answer


@contextmanager
def declared_as_before(place):
    """Providers and destinations at the end of the block are those of its beginning: what random calls declare is
    nowhere, and who erases a customer afterwards asks every destination."""
    with place.store.connect() as connection:
        connection.execute("CREATE TABLE sides_before AS TABLE api_sides")
        yield
        connection.execute("DELETE FROM api_sides")
        connection.execute("INSERT INTO api_sides TABLE sides_before")
        connection.execute("DROP TABLE sides_before")


@pytest.fixture
def receivers_anywhere(place):
    """Endpoints may be on this machine."""
    place.options["webhooks_to_private_addresses"] = True


def test_no_call_fails_and_every_answer_is_as_described(receivers_anywhere, api):
    operations = described()
    # Last, or there would be nothing left to call.
    ending = [each for each in operations if each.method == "delete"]
    lasting = [each for each in operations if each.method != "delete"]
    each_time = math.ceil(REQUESTS / (len(operations) * len(MODES)))
    with api.as_() as client:
        fuzzing = Fuzzing(api, client, known_by(api, client))
        for part in (lasting, ending):
            for operation in part:
                fuzzing.sound(operation)
            with declared_as_before(api.place):
                for operation in part:
                    for mode in MODES:
                        fuzzing.random(operation, mode, each_time)
    made = fuzzing.made
    print(f"{made.total():,} requests: {dict(sorted(made.items()))}")
    assert fuzzing.refused == []
    assert made[200] > 0
    assert made[404] > 0
    assert made[422] > 0
    assert made.total() >= REQUESTS * 0.5
