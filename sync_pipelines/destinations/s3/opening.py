"""From a destination's configuration to the destination."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations.s3.destination import S3Destination
from sync_pipelines.destinations.s3.formats import Format
from sync_pipelines.destinations.s3.names import in_path

if TYPE_CHECKING:
    from sync_pipelines.destinations.s3.storage import Storage


def open_files(config: S3DestinationConfig, customer_id: str, client: Callable[[], Any] | None = None) -> S3Destination:
    """One customer's place in a bucket or folder. Nothing is sent yet."""
    return S3Destination(
        config.name,
        storage_of(config, in_path(customer_id), client),
        Format(config.format, config.compression),
        config.grace,
    )


def storage_of(config: S3DestinationConfig, customer: str, client: Callable[[], Any] | None) -> "Storage":
    """`customer`: as it stands in paths."""
    if config.folder:
        from sync_pipelines.destinations.s3.folder import Folder

        folder = Path(config.folder.replace(CUSTOMER_ID, customer), config.prefix.replace(CUSTOMER_ID, customer))
        return Folder(config.name, folder)
    from sync_pipelines.destinations.s3.bucket import Address, Bucket

    address = Address(
        name=config.name,
        bucket=config.bucket,
        region=config.region,
        endpoint_url=config.endpoint_url,
        access_key_id=config.access_key_id,
        secret_access_key=config.secret_access_key,
        session_token=config.session_token,
    )
    return Bucket(
        address, config.prefix.replace(CUSTOMER_ID, customer), client if config.access_key_id is None else None
    )
