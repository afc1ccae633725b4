"""Ours, the peers and Postgres' own COPY on the same records: `make bench`. Read README.md first."""
