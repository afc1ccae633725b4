"""One connected account while the sandbox runs: its objects as they are now, its tables, its counters."""

from dataclasses import dataclass

from sync_pipelines.sandbox.customers import Customer
from sync_pipelines.sandbox.ids import salesforce_id, salesforce_number
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import NUMBER_BITS, number_of

DAILY_CALLS = 100_000


@dataclass
class Account:
    """`objects` changes when a fault makes a field vanish or appear; `tables` are the storage's numbers for them.

    `instance`: where a Salesforce organisation has moved to; sessions of other instances do not work there.
    """

    customer: Customer
    objects: dict[str, ObjectSpec]
    tables: dict[str, int]
    daily_limit: int = DAILY_CALLS
    daily_used: int = 0
    window_started: int = 0
    window_used: int = 0
    search_window_started: int = 0
    search_window_used: int = 0
    enforce_limits: bool = False
    rotate_refresh_tokens: bool = False
    search_lag: int = 0
    described_at: int = 0
    instance: str = ""

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
