"""What S3 and its client report, as an error of our tree with what to do about it. Decided by code, never by text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore import exceptions

from sync_pipelines.model.errors import DestinationBusy, DestinationError, SyncError
from sync_pipelines.model.secret import MASK

if TYPE_CHECKING:
    from sync_pipelines.destinations.s3.bucket import Address

_KEYS = (
    "The access key of {place} is not accepted ({code}): correct access_key_id and secret_access_key in the "
    "destination's configuration."
)
_REGION = "The bucket of {place} is in another region than {region} ({code}): correct `region`."
_FINAL: Final = {
    "AccessDenied": "{place} refuses us ({code}): allow s3:ListBucket on the bucket and s3:GetObject, s3:PutObject and "
    "s3:DeleteObject on its objects.",
    "403": "{place} refuses us ({code}): check the keys, and allow s3:ListBucket on the bucket and s3:GetObject, "
    "s3:PutObject and s3:DeleteObject on its objects.",
    "AllAccessDisabled": "{place} is closed by its owner ({code}).",
    "NoSuchBucket": "{place} does not exist: create the bucket, or correct the destination's configuration.",
    "404": "{place} does not exist: create the bucket, or correct the destination's configuration.",
    "InvalidBucketName": "{place} has no name that a bucket can have: correct the destination's configuration.",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": "The credentials of {place} have expired: renew them, or use a role, which renews them by itself.",
    "TokenRefreshRequired": "The credentials of {place} have expired: renew them.",
    "RequestTimeTooSkewed": "The clock of this machine differs by more than 15 minutes from that of {place}: set it, "
    "and keep it right (NTP).",
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NotImplemented": "The store of {place} does not know conditional writes ({code}), without which runs side by side "
    "could undo each other's work: use another store.",
    "QuotaExceeded": "{place} is full ({code}): make room there.",
    "InvalidObjectState": "A file of {place} was moved to an archive: exclude the prefix from the bucket's rules.",
}
_BUSY: Final = {
    "SlowDown": "{place} asks us to slow down; the sync is tried again by itself. If that happens often, give the "
    "destination its own prefix, or run fewer syncs side by side.",
    "InternalError": "{place} reported an internal error; the sync is tried again by itself.",
    "ServiceUnavailable": "{place} is not available at the moment; the sync is tried again by itself.",
    "RequestTimeout": "{place} waited in vain for our request; the sync is tried again by itself.",
    "OperationAborted": "Another change of the bucket of {place} is under way; the sync is tried again by itself.",
}
_OTHER = "{place} refused a request ({code}). {reason}"
_UNREACHABLE = (
    "{place} cannot be reached: check the network, and `endpoint_url` and `region` in the destination's configuration. "
    "The sync is tried again by itself."
)
_BROKEN = "The connection to {place} broke; the sync is tried again by itself."
_NO_KEYS = (
    "No credentials for {place} were found: write access_key_id and secret_access_key into its configuration, or give "
    "this process a role or an AWS profile."
)
_MALFORMED = "The configuration of {place} is not what S3 takes: {reason}"


def code_of(problem: exceptions.ClientError) -> str:
    return str(problem.response.get("Error", {}).get("Code", ""))


@contextmanager
def told_as_ours(address: "Address") -> Iterator[None]:
    """Errors of boto3 leave as DestinationBusy or DestinationError."""
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError, ValueError) as problem:
        raise failure(problem, address) from problem


def failure(problem: Exception, address: "Address") -> SyncError:
    if isinstance(problem, exceptions.ClientError):
        return _answered(problem, address)
    if isinstance(problem, exceptions.NoCredentialsError | exceptions.CredentialRetrievalError):
        return DestinationError(_sentence(_NO_KEYS, problem, address), detail=_scrubbed(problem, address))
    if isinstance(problem, exceptions.PartialCredentialsError | exceptions.ProfileNotFound):
        return DestinationError(_sentence(_MALFORMED, problem, address), detail=_scrubbed(problem, address))
    if isinstance(problem, exceptions.ConnectionError | exceptions.HTTPClientError):
        reached = isinstance(problem, exceptions.ReadTimeoutError | exceptions.ConnectionClosedError)
        text = _BROKEN if reached else _UNREACHABLE
        return DestinationBusy(_sentence(text, problem, address), detail=_scrubbed(problem, address))
    if isinstance(problem, exceptions.IncompleteReadError | exceptions.ResponseStreamingError):
        return DestinationBusy(_sentence(_BROKEN, problem, address), detail=_scrubbed(problem, address))
    return DestinationError(_sentence(_MALFORMED, problem, address), detail=_scrubbed(problem, address))


def _answered(problem: exceptions.ClientError, address: "Address") -> SyncError:
    code = code_of(problem)
    status = int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    detail = f"{problem.operation_name}, {status} {code}: {_scrubbed(problem, address)}"
    if text := _FINAL.get(code):
        return DestinationError(_sentence(text, problem, address, code), detail=detail)
    if code in _BUSY or status >= 500 or status == 429:
        text = _BUSY.get(code, _BUSY["ServiceUnavailable"])
        return DestinationBusy(_sentence(text, problem, address, code), detail=detail)
    return DestinationError(_sentence(_OTHER, problem, address, code), detail=detail)


def _sentence(text: str, problem: Exception, address: "Address", code: str = "") -> str:
    told = text.format(
        place=address, region=address.region or "the default", code=code, reason=_scrubbed(problem, address)
    )
    return told[0].upper() + told[1:]


def _scrubbed(problem: Exception, address: "Address") -> str:
    text = str(problem)
    for secret in (address.secret_access_key.reveal(), address.session_token.reveal()):
        text = text.replace(secret, MASK) if secret else text
    return text
