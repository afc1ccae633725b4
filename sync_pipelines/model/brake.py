"""The share of rows above which a delete by difference is refused."""

from sync_pipelines.model.destination import Scope
from sync_pipelines.model.errors import DeleteBrake


def refuse_above(brake: float, scope: Scope, unseen: int, alive: int) -> None:
    """DeleteBrake where `unseen` of the `alive` rows are more than the share `brake` of them."""
    if unseen > brake * alive:
        raise DeleteBrake(
            f"The full read of {scope.object} for customer {scope.customer_id} did not bring {unseen} of {alive} "
            f"stored records ({unseen / alive:.0%}), more than the delete_brake of the sync {scope.sync} allows "
            f"({brake:.0%}). Nothing was deleted. If they really are gone at the vendor, raise delete_brake in "
            "the sync and run it again; otherwise find out why the read was short."
        )
