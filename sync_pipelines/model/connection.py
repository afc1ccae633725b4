"""A customer's connected account."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Customer plus provider. One customer has at most one connection to one provider.

    `status`: connected, expired (the customer must reconnect) or error. `environment`: production or sandbox.
    `account_id` is the vendor's id of the account, noticed at the first sync. Base URLs given here win over the
    provider's (a My Domain host, a regional host, the sandbox of this project).
    """

    id: int
    customer_id: str
    provider: str
    environment: str = "production"
    status: str = "connected"
    status_reason: str = ""
    account_id: str | None = None
    login_url: str | None = None
    api_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class OAuthClient:
    """The developer's own app at the vendor."""

    client_id: str = ""
    client_secret: Secret = field(default_factory=lambda: Secret(""))


class Credentials(Protocol):
    """One connection's tokens, with a single owner for each refresh."""

    def read(self) -> Tokens:
        """The newest stored tokens. Reauthorize when there are none."""
        ...

    def refresh(self, stale: Secret, fetch: Callable[[Tokens], Tokens]) -> Tokens:
        """Tokens newer than the access token `stale`.

        Holds the connection's row lock: whoever waits finds the other's new tokens and does not call `fetch` again.
        What `fetch` returns is stored, with a refresh token that it left out carried over, before anybody uses it.
        """
        ...

    def expire(self, reason: str) -> None:
        """The vendor refused the refresh for good: the connection becomes `expired` and its work waits."""
        ...
