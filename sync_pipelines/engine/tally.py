"""What a piece of work has done so far."""

from dataclasses import dataclass, field
from typing import Final

from sync_pipelines.model.record_log import RecordLog
from sync_pipelines.model.run import Counts, Rejection

KEPT_REJECTIONS: Final = 100
KEPT_NOTICES: Final = 50


@dataclass
class Tally:
    """What happened so far; read by the caller even when the work ends in an error."""

    counts: Counts = field(default_factory=Counts)
    full: bool = False
    account_id: str | None = None
    notices: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    log: RecordLog | None = None
    """Of single records, where the sync wants them remembered."""

    def notice(self, text: str) -> None:
        if text not in self.notices and len(self.notices) < KEPT_NOTICES:
            self.notices.append(text)

    def reject(self, reason: str, record: bytes) -> None:
        self.counts += Counts(read=1, rejected=1)
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(Rejection(reason=reason, record=record[:2000].decode("utf-8", "replace")))
