"""Which server, database and schema a customer's copy lands in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_pipelines.config import DestinationConfig, RowLevelSecurity
from sync_pipelines.config.environment import CUSTOMER_ID
from sync_pipelines.destinations.postgres.names import checked
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.secret import Secret

CONNECT_SECONDS = 10

_PARAMETERS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "fallback_application_name": "sync_pipelines",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server and who we are there; all databases of it share one set of connections."""

    host: str
    port: int
    user: str
    password: Secret
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """One customer's database and schema. `name` is the destination's name in the configuration."""

    name: str
    server: Server
    database: str
    schema: str
    row_level_security: RowLevelSecurity | None = None

    def __str__(self) -> str:
        return f"the destination {self.name} (database {self.database} on {self.server.host}:{self.server.port})"

    @property
    def connect_arguments(self) -> Mapping[str, Any]:
        """For libpq. Holds the password."""
        ours: dict[str, Any] = {
            "host": self.server.host,
            "port": self.server.port,
            "user": self.server.user,
            "dbname": self.database,
            "client_encoding": "utf8",
        }
        if password := self.server.password.reveal():
            ours["password"] = password
        return _PARAMETERS | dict(self.server.parameters) | ours


def place_of(config: DestinationConfig, customer_id: str) -> Place:
    """Where this customer's copy lands. DestinationError when a name with the customer's id in it cannot be one."""
    server = Server(
        host=config.host,
        port=config.port,
        user=config.user,
        password=config.password,
        parameters=tuple(sorted(config.connection_parameters.items())),
    )
    return Place(
        name=config.name,
        server=server,
        database=checked(config.database.replace(CUSTOMER_ID, customer_id), "database"),
        schema=_own_schema(config.schema_name.replace(CUSTOMER_ID, customer_id)),
        row_level_security=config.row_level_security,
    )


def _own_schema(name: str) -> str:
    """Configuration refuses the server's schemas as they are written; a customer's id may still spell one."""
    if name.startswith("pg_") or name == "information_schema":
        raise DestinationError(
            f"The schema name {name!r} belongs to Postgres itself. Choose another: with `schema: crm_${{CUSTOMER_ID}}` "
            "no customer's id can be one."
        )
    return checked(name, "schema")
