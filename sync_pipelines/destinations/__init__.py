"""Where customers' copies land."""

from dataclasses import replace

from sync_pipelines.config import DestinationConfig
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations.postgres.destination import PostgresDestination, pools
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.destinations.postgres.survey import PostgresSurvey
from sync_pipelines.model.destination import Destination
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.survey import Survey, Where

__all__ = ["open_destination", "open_survey", "where_of"]


def open_destination(config: DestinationConfig, customer_id: str) -> Destination:
    """The destination as one customer sees it: `${CUSTOMER_ID}` filled in database and schema. Nothing is sent yet."""
    if config.type != "postgres":
        raise ConfigurationError(
            f"The destination {config.name} has the type {config.type}, which is not known. Known is: postgres."
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
