"""Where customers' copies land."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sync_pipelines.config import AnyDestinationConfig, DestinationConfig, S3DestinationConfig
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations.postgres.destination import PostgresDestination, pools
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.destinations.postgres.survey import PostgresSurvey
from sync_pipelines.model.destination import Destination
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.survey import Survey, Where

__all__ = ["open_destination", "open_survey", "where_of"]


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


def where_of(config: DestinationConfig, customer_id: str, schema: str | None = None) -> Where:
    """Where this customer's rows land; `schema` is the customer's own. DestinationError when the place cannot be."""
    own = replace(config, schema_name=schema) if schema else config
    if CUSTOMER_ID not in own.database and CUSTOMER_ID not in own.schema_name:
        return Where(destination=config.name, database=own.database, schema=own.schema_name)
    place = place_of(own, customer_id)
    return Where(destination=config.name, database=place.database, schema=place.schema)


def open_survey(config: DestinationConfig, database: str) -> Survey:
    """A look at one database of a destination as a whole. Close it."""
    if config.type != "postgres":
        raise ConfigurationError(f"The destination {config.name} has the type {config.type}, which cannot be surveyed.")
    return PostgresSurvey(place_of(replace(config, database=database, schema_name="public"), ""), pools)
