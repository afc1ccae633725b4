"""Pages for a product's customers, rendered here: connect an account, see how its syncs are, map its fields."""

from sync_pipelines.web.app import create_pages
from sync_pipelines.web.site import Site

__all__ = ["Site", "create_pages"]
