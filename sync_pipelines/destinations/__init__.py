"""Where customers' copies land."""

from sync_pipelines.config import DestinationConfig
from sync_pipelines.destinations.postgres.destination import PostgresDestination
from sync_pipelines.destinations.postgres.place import place_of
from sync_pipelines.model.destination import Destination
from sync_pipelines.model.errors import ConfigurationError

__all__ = ["open_destination"]


def open_destination(config: DestinationConfig, customer_id: str) -> Destination:
    """The destination as one customer sees it: `${CUSTOMER_ID}` filled in database and schema. Nothing is sent yet."""
    if config.type != "postgres":
        raise ConfigurationError(
            f"The destination {config.name} has the type {config.type}, which is not known. Known is: postgres."
        )
    return PostgresDestination(place_of(config, customer_id))
