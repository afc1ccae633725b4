"""Dagster: one asset per sync and object, partitioned by connection; a sensor for what is due; one way through."""
