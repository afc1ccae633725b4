"""Faults that can be switched on by name, for one account, a path or an object, for a number of times."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

REQUEST_FAULTS = {
    "rate_limit": "429 (Salesforce: 403 REQUEST_LIMIT_EXCEEDED); retry_after: seconds, or leave it away",
    "status": "status: 400-599 with the vendor's usual error body; empty: true for no body",
    "html": "an HTML page; status: 200 (default) or 502 ...",
    "cut_json": "the answer's JSON ends in the middle, its Content-Length agreeing",
    "truncated": "Content-Length promises more than is sent, then the line is closed",
    "slow": "seconds: wait before answering",
    "reset": "the line is reset without an answer",
    "token_expired": "401 as if the access token had just ended (a new one is asked again, times decides)",
    "refresh_refused": "the token endpoint refuses the refresh; error: the vendor's word",
    "missing_scope": "403 as for a scope or permission that the account did not grant",
}
PAGE_FAULTS = {
    "repeated_page_token": "a page's link leads to the page itself",
    "record_without_id": "one record of a page has no id",
    "duplicate_id": "a page ends with a copy of its first record",
    "surrogates": "field: text values of every record begin with a lone surrogate and a NUL",
    "short_pages": "size: pages hold no more than so many records",
    "expired_locator": "the query locator has expired",
    "bulk_job_fails": "a bulk query job ends as Failed",
    "bulk_limit": "creating a bulk query job is refused with LIMIT_EXCEEDED",
    "slow_job": "polls: so many polls before the job moves on",
}


@dataclass
class Fault:
    """`path` is a regular expression searched in "METHOD /path?query"; `times` None: until it is cleared."""

    name: str
    account: str | None = None
    path: str | None = None
    object: str | None = None
    times: int | None = None
    after: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    used: int = 0

    def fits(self, account: str | None, line: str, object: str | None) -> bool:
        return (
            (self.account is None or self.account == account)
            and (self.path is None or re.search(self.path, line) is not None)
            and (self.object is None or object is None or self.object.casefold() == object.casefold())
        )


class Faults:
    """What is switched on, in the order in which it was."""

    def __init__(self) -> None:
        self._on: list[Fault] = []
        self._count = 0

    def clear(self, account: str | None = None) -> None:
        self._on = [] if account is None else [fault for fault in self._on if fault.account != account]

    def add(self, fault: Fault) -> Fault:
        """Switch it on. ValueError for a name that is not known."""
        known = REQUEST_FAULTS | PAGE_FAULTS
        if fault.name not in known:
            raise ValueError(f"no fault {fault.name!r}; known: {', '.join(sorted(known))}")
        self._count += 1
        fault.id = self._count
        self._on.append(fault)
        return fault

    def list(self) -> list[Mapping[str, Any]]:
        return [asdict(fault) for fault in self._on]

    def take(self, name: str, account: str | None, line: str, object: str | None = None) -> Fault | None:
        """The first fault of that name that fits and is due, counted as used."""
        return self._take(lambda fault: fault.name == name and fault.fits(account, line, object))

    def take_for_request(self, account: str | None, line: str) -> Fault | None:
        """The first request fault that fits and is due, counted as used. An object is looked for in the line."""
        return self._take(
            lambda fault: (
                fault.name in REQUEST_FAULTS
                and fault.fits(account, line, None)
                and (fault.name != "refresh_refused" or "/token" in line)
                and (fault.object is None or fault.object.casefold() in line.casefold())
            )
        )

    def _take(self, wanted: Any) -> Fault | None:
        if not self._on:
            return None
        for fault in self._on:
            if not wanted(fault):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.used += 1
            if fault.times is not None and fault.used >= fault.times:
                self._on.remove(fault)
            return fault
        return None
