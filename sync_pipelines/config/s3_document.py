"""The document of a destination that is made of files."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from sync_pipelines.config.document import Choice, Document, Identifier, refusing
from sync_pipelines.config.schedules import Duration
from sync_pipelines.config.texts import Name, Url


def _in_no_bucket(written: Any) -> None:
    if written:
        raise refusing("is of databases only: in a bucket, give each customer's prefix its own right to be read")


def _bucket(written: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", written):
        raise refusing("must be a bucket's name: 3 to 63 small letters, digits, dots and hyphens")
    return written


def _files_prefix(written: str) -> str:
    parts = written.strip("/").split("/")
    if written.strip("/") and not all(
        part and part.isprintable() and not part.startswith(("_", ".")) for part in parts
    ):
        raise refusing("must be names with / between; none begins with _ or ., which readers of files pass over")
    return "/".join(parts)


class S3DestinationDocument(Document):
    """Files in an S3 bucket, in a store that speaks its protocol, or in a local `folder` (for one machine, and tests).

    Without keys, whoever runs this decides who we are: a role, AWS_PROFILE, or Dagster's S3Resource.
    """

    EXACTLY_ONE = (("credentials", "folder"),)

    class Credentials(Document):
        bucket: Annotated[str, AfterValidator(_bucket)]
        region: str | None = Field(None, min_length=1)
        prefix: Annotated[str, AfterValidator(_files_prefix)] = Field("", description="Where in the bucket")
        access_key_id: str | None = Field(None, min_length=1)
        secret_access_key: SecretStr | None = Field(None, min_length=1)
        session_token: SecretStr | None = Field(None, min_length=1)
        endpoint_url: Url = Field(None, description="Of another store than Amazon's")

        @model_validator(mode="after")
        def _has_both_keys_or_none(self) -> Self:
            if (self.access_key_id is None) != (self.secret_access_key is None):
                raise refusing("needs both `access_key_id` and `secret_access_key`, or neither of them")
            if self.session_token is not None and self.access_key_id is None:
                raise refusing("has a `session_token` without the keys that it belongs to")
            return self

    id: Identifier | None = None
    name: Name
    type: Literal["s3"]
    credentials: Credentials | None = None
    folder: str | None = Field(None, min_length=1, description="Instead of a bucket: a folder of this machine")
    format: Annotated[str, Choice({"parquet": "parquet", "jsonl": "jsonl", "json lines": "jsonl"})] = "parquet"
    compression: Annotated[str, Choice({"zstd": "zstd", "gzip": "gzip", "none": "none"})] = "zstd"
    keep_replaced: Duration = Field(
        timedelta(days=1), description="How long readers may go on with files that were replaced by newer ones"
    )
    row_level_security: Annotated[None, BeforeValidator(_in_no_bucket)] = None
