"""Moves records: decides what to read, shapes them, loads them. Knows no vendor and no Dagster."""
