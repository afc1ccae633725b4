"""Migrations of the store, oldest first. Run them with `sync-pipelines migrate`."""
