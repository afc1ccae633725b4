"""Words by which Dagster's runs, steps and the code location are found again."""

from sync_pipelines.model.asset_names import refuse_ambiguous_names, snake

__all__ = ["CLAIM_TAG", "LOCATION", "PROVIDER_TAG", "SYNC_TAG", "refuse_ambiguous_names", "snake", "step_name"]

CLAIM_TAG = "sync_pipelines/claim"
SYNC_TAG = "sync_pipelines/sync"
PROVIDER_TAG = "sync_pipelines/provider"

LOCATION = "sync_pipelines"
"""Name of the code location, in every workspace that we write."""


def step_name(sync: str) -> str:
    """The op that syncs a sync's objects, under which run config stands. No job of ours begins like it."""
    return f"objects_of_{snake(sync)}"
