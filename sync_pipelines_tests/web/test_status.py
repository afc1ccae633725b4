"""The first page says how each sync of the customer is, in every state that it can be in."""

import re
import uuid

from sync_pipelines.api.serving import serve
from sync_pipelines_tests.fixtures.place import ACME
from sync_pipelines_tests.store.standing import Standing
from sync_pipelines_tests.web.conftest import Product

BADGE = re.compile(r'<h3>(\w+)</h3><span class="badge (\w+)">([^<]+)</span>')
OBJECTS = {"asked_for": "contact", "by_the_hour": "account", "nightly": "lead", "no_more": "user"}


def told(visitor):
    """(state and text of each sync, whether the page looks again by itself)."""
    text = visitor.open(visitor.page.url).text
    return {name: (state, words) for name, state, words in BADGE.findall(text)}, 'data-busy="yes"' in text


def test_the_page_says_what_is_true_of_each_sync(place, visitor):
    (place.folder / "syncs" / "crm.yaml").unlink()
    for name, object_name in OBJECTS.items():
        schedule = "manual" if name == "asked_for" else {"every": "1h"}
        place.write_sync(name, objects=[object_name], schedule=schedule)
    project = place.open()
    with serve(project) as url:
        visitor.connect(Product(place, url).link(), ACME)
        assert "Connected. The sync begins by itself." in visitor.page.text
        standing, (connection,) = Standing(project.store._engine), project.store.connections.list()
        begins = ("busy", "The first sync is about to begin")
        project.store.lifecycle.archive("no_more")
        standing.due(connection, "asked_for", scheduled_at=None, asked_at=None, retry_at=None)
        standing.due(connection, "nightly", scheduled_at=standing.at(600), asked_at=None, retry_at=None)
        found, busy = told(visitor)
        assert found.pop("nightly")[1].startswith("Begins on ")
        untouched = {"asked_for": ("waiting", "Not started yet"), "no_more": ("waiting", "Paused")}
        assert (found, busy) == ({**untouched, "by_the_hour": begins}, True)

        # One customer of a sync is paused, be it before its first run or after.
        project.store.lifecycle.pause("by_the_hour", [ACME])
        paused = {"by_the_hour": ("waiting", "Paused")}
        assert (told(visitor)[0]["by_the_hour"], told(visitor)[1]) == (paused["by_the_hour"], False)
        for name, object_name in OBJECTS.items():
            standing.settled(connection, name, [object_name])
        good = ("good", "Up to date")
        assert told(visitor) == ({"asked_for": good, "nightly": good, "no_more": untouched["no_more"], **paused}, False)
        project.store.lifecycle.resume("by_the_hour", [ACME])
        standing.gap(connection, "contact", "asked_for")
        standing.due(connection, "nightly", scheduled_at=standing.at(-300))
        assert told(visitor)[0] == {
            "asked_for": ("waiting", "Some records are missing"),
            "by_the_hour": good,
            "nightly": ("waiting", "Waits for its turn"),
            "no_more": untouched["no_more"],
        }
        standing.tried(connection, "account", "by_the_hour", failing=3)
        standing.due(connection, "asked_for", attempts=2, error_type="network")
        standing.due(connection, "nightly", claim_id=uuid.uuid4(), heartbeat_at=standing.at(0))
        assert told(visitor) == (
            {
                "asked_for": ("waiting", "Will be tried again"),
                "by_the_hour": ("bad", "Needs attention"),
                "nightly": ("busy", "Syncing now"),
                "no_more": untouched["no_more"],
            },
            True,
        )
        standing.due(connection, "nightly", claim_id=None)

        # Connecting again begins what may run; where nothing does, the page does not say so.
        for name in ("by_the_hour", "nightly", "asked_for"):
            project.store.lifecycle.pause(name)
        visitor.open(f"{url}/connect/")
        visitor.send("/authorize")
        assert "Connected." in visitor.open(visitor.log_in(ACME)).text
        assert "begins by itself" not in visitor.page.text
        assert set(told(visitor)[0].values()) == {("waiting", "Paused")}
