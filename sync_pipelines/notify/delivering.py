"""The deliverer: takes what is due from the outbox, sends it, and tells the store what became of it.

An event may arrive twice, when a process dies between sending and telling; it never gets lost. Its webhook-id is the
same each time. Endpoints have places of their own, so that a slow one keeps nobody waiting.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import DBAPIError
from standardwebhooks.webhooks import Webhook

from sync_pipelines.logs.redaction import masked
from sync_pipelines.model.secret import MASK
from sync_pipelines.notify import slack
from sync_pipelines.notify.addresses import Terms
from sync_pipelines.notify.bodies import body_of, flat_body_of, message_id, written
from sync_pipelines.notify.schedule import hold, next_attempt
from sync_pipelines.notify.sending import Answer, send
from sync_pipelines.notify.subscribing import HasStore
from sync_pipelines.settings import Settings
from sync_pipelines.store import Store
from sync_pipelines.store.deliveries import Attempt, Claimed
from sync_pipelines.store.endpoints import SLACK, WEBHOOK, ZAPIER

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the outbox is looked at while nothing is due."""
STORE_SECONDS: Final = 5.0
"""How long a store that does not answer is left alone."""
KEPT_ANSWER: Final = 500
"""Characters of an answer that the log of deliveries keeps."""


def deliver_until(project: HasStore, stop: threading.Event, turn: Callable[[], None] = lambda: None) -> None:
    """Deliver what becomes due until `stop` is set; what is under way then is ended first, within 15 seconds. `turn` is
    called at every look at the outbox."""
    deliverer = Deliverer(project.store, project.settings)
    under_way: set[Future[None]] = set()
    with ThreadPoolExecutor(deliverer.at_once, thread_name_prefix="deliver") as pool:
        while not stop.is_set():
            turn()
            try:
                claimed = deliverer.claim(deliverer.at_once - len(under_way))
            except DBAPIError as problem:
                log.warning("The outbox cannot be read, the store does not answer: %s", problem.orig)
                stop.wait(STORE_SECONDS)
                continue
            under_way |= {pool.submit(deliverer.deliver, each) for each in claimed}
            if claimed and len(under_way) < deliverer.at_once:
                continue
            if under_way:
                _, under_way = wait(under_way, LOOK_SECONDS, return_when=FIRST_COMPLETED)
            else:
                stop.wait(LOOK_SECONDS)


def deliver_due(project: HasStore) -> int:
    """Deliver once what is due now; how many sendings that were."""
    deliverer, count = Deliverer(project.store, project.settings), 0
    with ThreadPoolExecutor(deliverer.at_once, thread_name_prefix="deliver") as pool:
        while claimed := deliverer.claim(deliverer.at_once):
            count += len(claimed)
            list(pool.map(deliverer.deliver, claimed))
    return count


class Deliverer:
    """Sends what was claimed. `clock` says what is due and when it is tried again; signatures bear the real time."""

    def __init__(
        self, store: Store, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._terms = Terms.of(settings)
        self._dagster_url = settings.dagster_url
        self._clock = clock
        self.at_once = settings.webhooks_at_once

    def claim(self, free: int) -> list[Claimed]:
        return self._store.deliveries.claim(free, self._clock()) if free > 0 else []

    def deliver(self, claimed: Claimed) -> None:
        """Send it and record what became of it. Where the store fails then, it is sent again when its claim is over."""
        try:
            answer = self._send(claimed)
            attempt = self._attempt(claimed, answer)
            if self._store.deliveries.record(claimed, attempt):
                log.error(
                    "Endpoint %s (%s) is sent nothing any more: %s",
                    claimed.endpoint.id,
                    claimed.endpoint.shown_url,
                    attempt.error or f"status {attempt.status}",
                )
        except DBAPIError as problem:
            log.warning("What became of a delivery was not recorded, the store does not answer: %s", problem.orig)
        except Exception:
            # One that cannot be sent at all must not end the loop for the others; it comes back with its claim.
            log.exception("A delivery to endpoint %s failed", claimed.endpoint.id)

    def _send(self, claimed: Claimed) -> Answer:
        first = claimed.parcels[0].event
        if claimed.endpoint.kind == SLACK:
            body = written(slack.message([each.event for each in claimed.parcels], self._dagster_url))
        else:
            body = written(body_of(first) if claimed.endpoint.kind == WEBHOOK else flat_body_of(first))
        headers = {"Content-Type": "application/json", "User-Agent": "sync_pipelines"}
        if claimed.endpoint.kind != SLACK:
            headers |= signed_headers(claimed, body)
        return send(claimed.address.url.reveal(), headers, body, self._terms)

    def _attempt(self, claimed: Claimed, answer: Answer) -> Attempt:
        now, kind, text = self._clock(), claimed.endpoint.kind, answer.body.decode("utf-8", "replace")
        delivered = answer.status is not None and 200 <= answer.status < 300
        of_slack = kind == SLACK
        gone = slack.is_gone(answer.status, text) if of_slack else answer.status == 410
        refused = of_slack and slack.is_our_fault(answer.status, text)
        again = {}
        if not delivered and not refused and not (gone and kind == ZAPIER):
            for each in claimed.parcels:
                moment = next_attempt(each.attempts + 1, now, _chance(), answer.retry_after)
                if moment is not None:
                    again[each.id] = moment
        held = hold(claimed.endpoint.failures + 1, now, answer.retry_after)
        paced = now + slack.BETWEEN_MESSAGES if of_slack else None
        return Attempt(
            at=now,
            seconds=answer.seconds,
            delivered=delivered,
            status=answer.status,
            answer=_hidden(text, claimed)[:KEPT_ANSWER],
            error=_hidden(answer.error, claimed),
            next_at=again,
            gone=gone,
            held_until=paced if delivered or refused else held,
            blames=not refused,
        )


def signed_headers(claimed: Claimed, body: bytes) -> Mapping[str, str]:
    """Those of Standard Webhooks: id, time, and a signature by each secret that holds now."""
    id, now = message_id(claimed.parcels[0].event), datetime.now(UTC)
    signatures = [
        Webhook(secret.reveal()).sign(msg_id=id, timestamp=now, data=body.decode())
        for secret in claimed.address.signing
    ]
    headers = {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp()))}
    return {**headers, "webhook-signature": " ".join(signatures)} if signatures else headers


def _hidden(text: str, claimed: Claimed) -> str:
    """Without what must not be read in a log, should the receiver repeat it."""
    address = claimed.address
    url = address.url.reveal()
    path = url.partition("://")[2].partition("/")[2]
    for secret in (url, *(each.reveal() for each in address.signing), *([path] if len(path) > 8 else [])):
        text = text.replace(secret, MASK)
    return masked(text)


def _chance() -> float:
    """0 to 1."""
    return secrets.randbelow(1_001) / 1_000
