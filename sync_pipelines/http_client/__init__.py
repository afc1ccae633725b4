"""The only place that sends to vendors: drives flows, authenticates, paces, retries, names failures by type."""

from sync_pipelines.http_client.client import VendorSession

__all__ = ["VendorSession"]
