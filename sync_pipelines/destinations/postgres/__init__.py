"""Postgres 13 or newer: one table for an object of all customers, the checkpoint beside it."""
