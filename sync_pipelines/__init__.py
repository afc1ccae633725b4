"""Customer-facing CRM syncs on Dagster."""

from sync_pipelines.own_transforms import transform

__all__ = ["transform"]
