"""Where customers' copies land."""

from collections.abc import Callable
from typing import Any

from sync_pipelines.config import AnyDestinationConfig, S3DestinationConfig
from sync_pipelines.destinations.postgres.destination import PostgresDestination
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.model.destination import Destination

__all__ = ["open_destination"]


def open_destination(
    config: AnyDestinationConfig, customer_id: str, s3_client: Callable[[], Any] | None = None
) -> Destination:
    """The destination as one customer sees it: `${CUSTOMER_ID}` filled in. Nothing is sent yet.

    `s3_client`: gives boto3's client for buckets whose configuration has no keys.
    """
    if isinstance(config, S3DestinationConfig):
        # Arrow and boto3 take a second to import, which nobody else shall pay.
        from sync_pipelines.destinations.s3.opening import open_files

        return open_files(config, customer_id, s3_client)
    return PostgresDestination(place_of(config, customer_id))
