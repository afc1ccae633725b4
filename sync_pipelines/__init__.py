"""Customer-facing CRM syncs on Dagster."""
