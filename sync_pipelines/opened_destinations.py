"""Destinations as customers see them, each opened once and closed together."""

import threading
from collections.abc import Callable
from typing import Any

from sync_pipelines.config.configuration import AnyDestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.model.destination import Destination


class OpenedDestinations:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str, str | None], tuple[AnyDestinationConfig, Destination]] = {}
        self._former: list[Destination] = []
        self._lock = threading.Lock()

    def of(
        self, config: AnyDestinationConfig, customer_id: str, schema: str | None, s3_client: Callable[[], Any] | None
    ) -> Destination:
        """A customer's; `schema`: one of its own. Opened anew where the configuration is another than before."""
        key = (config.name, customer_id, schema)
        with self._lock:
            if key in self._opened:
                opened_as, found = self._opened[key]
                if opened_as == config:
                    return found
                # Who works with it goes on with it.
                self._former.append(found)
            found = open_destination(config.in_schema(schema) if schema else config, customer_id, s3_client)
            self._opened[key] = (config, found)
            return found

    def close(self) -> None:
        for each in (*self._former, *(opened for _, opened in self._opened.values())):
            each.close()
        self._former.clear()
        self._opened.clear()
