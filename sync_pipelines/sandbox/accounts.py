"""One connected account while the sandbox runs: its objects as they are now, its tables, its counters."""

from dataclasses import dataclass, field

from sync_pipelines.sandbox.customers import Customer
from sync_pipelines.sandbox.ids import salesforce_id, salesforce_number
from sync_pipelines.sandbox.quota import HUBSPOT_OFFSET_MS, CallWindow, DailyCalls
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import NUMBER_BITS, number_of

DAILY_CALLS = 100_000


@dataclass
class Account:
    """`objects` changes when a fault makes a field vanish or appear; `tables` are the storage's numbers for them.

    `instance`: where a Salesforce organisation has moved to; sessions of other instances do not work there.
    `private_app`: a HubSpot portal has a daily limit and tells it. `ours` and `others` are the day's calls of whoever
    connects here, and of the customer's other apps, which share the limit. `lists`: ids of the members of each list
    (HubSpot) or campaign (Salesforce), by its id.
    """

    customer: Customer
    objects: dict[str, ObjectSpec]
    tables: dict[str, int]
    daily_limit: int = DAILY_CALLS
    private_app: bool = False
    ours: DailyCalls = field(default_factory=DailyCalls)
    others: DailyCalls = field(default_factory=DailyCalls)
    window: CallWindow = field(default_factory=lambda: CallWindow(110, 10_000))
    search_window: CallWindow = field(default_factory=lambda: CallWindow(5, 1_000))
    enforce_limits: bool = False
    rotate_refresh_tokens: bool = False
    search_lag: int = 0
    described_at: int = 0
    instance: str = ""
    lists: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vendor == "hubspot":
            self.ours.midnight_offset = self.others.midnight_offset = HUBSPOT_OFFSET_MS

    def daily_used(self, now: int) -> int:
        """The day's calls of everybody."""
        return self.ours.used(now) + self.others.used(now)

    @property
    def id(self) -> str:
        return self.customer.account

    @property
    def vendor(self) -> str:
        return self.customer.vendor

    def find(self, name: str) -> ObjectSpec | None:
        """An object by any name the vendor takes for it."""
        wanted = name.casefold()
        for spec in self.objects.values():
            known = {spec.name.casefold()}
            if self.vendor == "hubspot" and spec.name != "owners":
                known |= {spec.type_id, spec.label.casefold(), spec.plural.casefold()}
            if wanted in known:
                return spec
        return None

    def record_id(self, spec: ObjectSpec, number: int) -> str:
        return salesforce_id(self._prefix(spec), number) if self.vendor == "salesforce" else str(number)

    def id_of_key(self, spec: ObjectSpec, key: int) -> str:
        return self.record_id(spec, number_of(key))

    def key(self, spec: ObjectSpec, id: str) -> int | None:
        """The storage key of a record's id; None when no id of this object can look like that."""
        if self.vendor == "salesforce":
            number = salesforce_number(self._prefix(spec), id)
        else:
            number = int(id) if id.isascii() and id.isdigit() else None
        if number is None or number >= 1 << NUMBER_BITS:
            return None
        return self.key_of_number(spec, number)

    def key_of_number(self, spec: ObjectSpec, number: int) -> int:
        return (self.tables[spec.name] << NUMBER_BITS) | number

    def object_of_table(self, tbl: int) -> ObjectSpec:
        return next(self.objects[name] for name, number in self.tables.items() if number == tbl)

    def _prefix(self, spec: ObjectSpec) -> str:
        return f"{spec.type_id}{self.id[3:5]}000"
