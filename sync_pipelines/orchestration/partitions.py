"""Partitions: one for each connection of a provider, named by the customer's id."""

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

from sync_pipelines.orchestration.names import snake


def partitions_name(provider: str) -> str:
    return f"{snake(provider)}_connections"


def connections_of(provider: str) -> dg.DynamicPartitionsDefinition:
    return dg.DynamicPartitionsDefinition(name=partitions_name(provider))


@dataclass(frozen=True)
class Step:
    """What brings a provider's partitions in step with its connections."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def step_to(customers: Collection[str], known: Collection[str]) -> Step:
    """From the partitions that Dagster has (`known`) to those of the customers that are connected, sorted."""
    wanted, present = set(customers), set(known)
    return Step(tuple(sorted(wanted - present)), tuple(sorted(present - wanted)))
