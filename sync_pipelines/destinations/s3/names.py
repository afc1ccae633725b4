"""Where each file lies. Customers' ids are hostile: none of their characters means anything in a path."""

import hashlib
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from sync_pipelines.model.destination import Scope

CUSTOMER, DATE = "sync_customer", "sync_date"
"""Names of the partitions. They have a prefix so that they never hide a column of the same name."""

MANIFESTS = "_manifests/"
"""Where the manifests of all places lie."""

LONGEST_PART = 150
"""Bytes of one name in a path. File systems take 255, and a digest and a version come behind."""


@dataclass(frozen=True)
class Place:
    """Whose rows in which table: one chain of manifests. `digest` keeps places apart whatever their names look like."""

    table: str
    application_id: str
    provider: str
    customer_id: str

    @classmethod
    def of(cls, scope: Scope, table: str) -> "Place":
        return cls(table, scope.application_id, scope.provider, scope.customer_id)

    @property
    def digest(self) -> str:
        whole = "\0".join((self.application_id, self.provider, self.customer_id))
        return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()

    @property
    def manifest(self) -> str:
        return f"{MANIFESTS}{self.table}/{in_path(self.customer_id)}-{self.digest}.json"

    @property
    def rows_folder(self) -> str:
        """Holds the customer's data files of all days, those of other applications and providers too."""
        return f"{self.table}/{CUSTOMER}={in_path(self.customer_id)}/"

    def rows(self, day: date, version: int, suffix: str) -> str:
        """The final name of a data file, which readers see."""
        return f"{self.rows_folder}{DATE}={day.isoformat()}/{self.digest}-{version:010}.{suffix}"

    @property
    def own_folder(self) -> str:
        """What only we read: staged data files, keys of the rows, ids seen by full reads."""
        return f"_own/{self.table}/{self.digest}/"

    def own(self, kind: str, version: int, commit: str) -> str:
        return f"{self.own_folder}{kind}-{version:010}-{commit}"


def in_path(name: str) -> str:
    """A customer's id as a part of a path: percent-encoded as Hive does; a long one is cut and gets a digest."""
    encoded = quote(name, safe="", errors="surrogatepass")
    if encoded.startswith((".", "_")):
        # Two dots lead out of the folder, and readers of files pass over names that begin like this.
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) <= LONGEST_PART:
        return encoded
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
    return f"{encoded[: LONGEST_PART - 21].rstrip('%')}~{digest}"
