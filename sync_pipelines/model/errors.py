"""Everything that can go wrong, grouped by what the engine does about it.

    SyncError
    |-- Retry                  try again after a backoff
    |   |-- NetworkError       no answer, cut line, truncated body            error_type "network"
    |   |-- Stopped            the run was told to stop                       error_type "network"
    |   |   `-- GaveWay        others waited for its place                    error_type "network"
    |   |-- VendorError        5xx, busy, an answer that is not the protocol  error_type "vendor_error"
    |   `-- DestinationBusy    destination gone away or restarting            error_type "destination"
    |-- Wait                   try again at a time that the vendor chose      error_type "rate_limit"
    |-- Reauthorize            the customer must reconnect                    error_type "auth_expired"
    |-- SkipObject             object gone or scope missing; the rest goes on error_type "not_found"
    |-- RejectRecord           one record or value is refused                 error_type "field_validation"
    `-- Abort                  trying again changes nothing
        |-- ConfigurationError what a person wrote is wrong                   error_type "configuration"
        |   `-- SetupError     what the processes themselves are given is     error_type "configuration"
        |-- DestinationError   wrong password, no rights, other column type   error_type "destination"
        |   |-- MissingDatabase there is none of that name                   error_type "destination"
        |   `-- RefusedValue   a value that the destination cannot hold       error_type "destination"
        |-- ProtocolError      repeated page token, id missing everywhere     error_type "vendor_error"
        |-- DeleteBrake        a full read would delete too large a share     error_type "configuration"
        `-- LeaseLost          another run of the same work is ahead of us    error_type "destination"

`str(error)` is for the user and says what to do. `error.detail` is for the log. Neither may hold a secret.
"""

from datetime import datetime
from typing import ClassVar


class SyncError(Exception):
    """Root of the tree; `error_type` is the name users see in runs, events and webhooks."""

    error_type: ClassVar[str] = "vendor_error"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class Retry(SyncError):
    """Try again after a backoff."""


class NetworkError(Retry):
    error_type = "network"


class Stopped(Retry):
    """The run was told to stop; the next one goes on from the checkpoint."""

    error_type = "network"


class GaveWay(Stopped):
    """Others waited for the place; the next run goes on from the checkpoint."""


class VendorError(Retry):
    error_type = "vendor_error"


class DestinationBusy(Retry):
    error_type = "destination"


class Wait(SyncError):
    """The vendor asked us to wait; `until` is when to come back (UTC), None where it did not say.

    `whole_account`: no call of the account is wanted before, not only none of this kind.
    """

    error_type = "rate_limit"

    def __init__(
        self, message: str, *, until: datetime | None = None, detail: str = "", whole_account: bool = False
    ) -> None:
        super().__init__(message, detail=detail)
        self.until = until
        self.whole_account = whole_account


class Reauthorize(SyncError):
    """The credentials no longer work and only the customer can mend that."""

    error_type = "auth_expired"


class SkipObject(SyncError):
    """This object cannot be read by this connection (gone, or a scope is missing); others can."""

    error_type = "not_found"


class RejectRecord(SyncError):
    """One record or one of its values is refused; the others go on."""

    error_type = "field_validation"


class Abort(SyncError):
    """Trying again changes nothing until a person changes something."""

    error_type = "configuration"


class ConfigurationError(Abort):
    error_type = "configuration"


class SetupError(ConfigurationError):
    """A setting of the processes, a key, or our own app at a vendor is missing or wrong: whoever asks for something
    cannot mend it. The message names what whoever runs them has to set, and nothing of what is stored."""


class DestinationError(Abort):
    error_type = "destination"


class MissingDatabase(DestinationError):
    """There is no database of that name on the server."""


class RefusedValue(DestinationError):
    """Nothing of the load was stored."""


class ProtocolError(Abort):
    error_type = "vendor_error"


class DeleteBrake(Abort):
    error_type = "configuration"


class LeaseLost(Abort):
    error_type = "destination"


class InvalidField(SyncError):
    """The vendor refuses named fields of a query (vanished, or permission lost); flows drop them and go on."""

    error_type = "field_validation"

    def __init__(self, message: str, *, fields: tuple[str, ...] = (), detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.fields = fields


class ExpiredToken(SyncError):
    """A page token or a server-side cursor is too old; flows start over from their last key."""
