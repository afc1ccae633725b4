"""What a load leaves alone because somebody amended it while its records were on their way."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass

from sync_pipelines.model.destination import Batch, PartOf, Scope
from sync_pipelines.model.errors import DestinationBusy


@dataclass(frozen=True)
class Loaded:
    """What one load is to write: see model.destination.Landing.load. `left`: how many rows it leaves alone."""

    batch: Batch
    removed: Sequence[str]
    regrouped: Sequence[str]
    gone: Sequence[str]
    left: int = 0

    def without(self, amended: Collection[str]) -> "Loaded":
        """The same without rows that were amended, by their ids or by what they were told by."""
        if not amended:
            return self
        noted = frozenset(amended)

        def others(ids: Sequence[str]) -> list[str]:
            return [id for id in ids if not is_among(id, noted)]

        ids = self.batch.ids
        places = [place for place, id in enumerate(ids) if not is_among(id, noted)]
        return Loaded(
            batch=self.batch if len(places) == len(ids) else PartOf(self.batch, places),
            removed=others(self.removed),
            regrouped=others(self.regrouped),
            gone=others(self.gone),
            left=len(ids) - len(places),
        )


def is_among(id: str, noted: Collection[str]) -> bool:
    """Ids of rows that were told together begin with what told them and a colon."""
    return id in noted or (":" in id and id.partition(":")[0] in noted)


def refuse_amended(batch: Batch, amended: Set[str], scope: Scope) -> None:
    """DestinationBusy where a row of the batch was amended: the batch is made of what it was before."""
    if not amended.isdisjoint(batch.ids):
        raise DestinationBusy(
            f"Records of {scope.object} of customer {scope.customer_id} changed at this moment, so that their stored "
            "rows are not made anew of what they were; it is tried again by itself."
        )
