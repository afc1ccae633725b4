"""The main job on one machine: six invented customers, both vendors, Dagster, Postgres, and a proof of every value."""
