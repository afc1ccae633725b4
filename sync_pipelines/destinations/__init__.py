"""Where customers' copies land."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sync_pipelines.config import AnyDestinationConfig, S3DestinationConfig
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations.postgres.destination import PostgresDestination, pools
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.destinations.postgres.survey import PostgresSurvey
from sync_pipelines.destinations.s3.names import in_path
from sync_pipelines.model.destination import Destination
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.survey import Survey, Where

__all__ = ["is_shared", "open_destination", "open_survey", "where_of"]


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
    if config.type != "postgres":
        raise ConfigurationError(
            f"The destination {config.name} has the unknown type {config.type}. Known are: postgres, s3."
        )
    return PostgresDestination(place_of(config, customer_id))


def is_shared(config: AnyDestinationConfig) -> bool:
    """Whether all customers' rows land in one place: no name of it has `${CUSTOMER_ID}` in it."""
    return not any(CUSTOMER_ID in name for name in _names_of(config))


def where_of(config: AnyDestinationConfig, customer_id: str, schema: str | None = None) -> Where:
    """Where this customer's rows land; `schema` is the customer's own. DestinationError when the place cannot be.

    Of files the database is the bucket or folder, and the schema is the prefix in it.
    """
    own = config.in_schema(schema) if schema else config
    database, schema_name = _names_of(own)
    if isinstance(own, S3DestinationConfig):
        name = in_path(customer_id)
        database, schema_name = (each.replace(CUSTOMER_ID, name) for each in (database, schema_name))
    elif not is_shared(own):
        place = place_of(own, customer_id)
        database, schema_name = place.database, place.schema
    return Where(destination=config.name, database=database, schema=schema_name)


def _names_of(config: AnyDestinationConfig) -> tuple[str, str]:
    if isinstance(config, S3DestinationConfig):
        return config.bucket or config.folder, config.prefix
    return config.database, config.schema_name


def open_survey(config: AnyDestinationConfig, database: str, s3_client: Callable[[], Any] | None = None) -> Survey:
    """A look at one database of a destination (a bucket, a folder) as a whole. Close it.

    `s3_client`: see open_destination.
    """
    if isinstance(config, S3DestinationConfig):
        from sync_pipelines.destinations.s3.survey import FilesSurvey

        own = replace(config, bucket=database) if config.bucket else replace(config, folder=database)
        return FilesSurvey(own, s3_client)
    return PostgresSurvey(place_of(replace(config, database=database, schema_name="public"), ""), pools)
