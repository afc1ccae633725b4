"""Values that did not fit, as rows keep them in their errors."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sync_pipelines.destinations.s3.compaction import layout_of
from sync_pipelines.destinations.s3.formats import Format
from sync_pipelines.destinations.s3.manifest import Chain
from sync_pipelines.destinations.s3.names import Place
from sync_pipelines.destinations.s3.storage import Storage
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.destinations.s3.values import rows_of
from sync_pipelines.model.destination import Scope
from sync_pipelines.model.failed_value import FailedCount, FailedPlace, FailedValue

PAGE = 1_000
"""So many rows are read at a time."""


class FailedValues:
    """Of some customers in one table."""

    def __init__(self, storage: Storage, form: Format, scopes: Sequence[Scope], table: str) -> None:
        self._storage = storage
        self._form = form
        self._places = sorted((Place.of(scope, table) for scope in scopes), key=lambda place: place.customer_id)

    def page(self, after: FailedPlace | None, limit: int) -> list[FailedValue]:
        """See `model.destination.Destination.failed`."""
        found: list[FailedValue] = []
        for place in self._places:
            if after is None or place.customer_id >= after.customer_id:
                here = after if after is not None and place.customer_id == after.customer_id else None
                for value in self._of_place(place, here, limit):
                    if len(found) == limit:
                        return found
                    found.append(value)
        return found

    def counts(self) -> list[FailedCount]:
        """See `model.destination.Destination.failed_counts`."""
        counted = Counter(
            (value.customer_id, value.column, value.field, value.reason)
            for place in self._places
            for value in self._of_place(place, None, PAGE)
        )
        return [
            FailedCount(customer_id=customer, column=column, field=field, reason=reason, rows=rows)
            for (customer, column, field, reason), rows in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        ]

    def _of_place(self, place: Place, after: FailedPlace | None, page: int) -> Iterator[FailedValue]:
        chain = Chain(self._storage, place)
        head = chain.read()
        if head is None:
            return
        stored, layout = Stored(self._storage, place, self._form), layout_of(head.manifest)
        chain.publish(head)
        keys = stored.keys(head.manifest).misfitting()
        columns = ["id", layout.meta("errors")]
        if after is not None:
            # The row of `after` may have more values behind it.
            first = keys.find([after.id])
            rows = stored.rows(head.manifest, first, layout)
            texts = ((id, row[layout.places[columns[1]]]) for id, row in rows.items())
            yield from (value for value in _values(place, texts) if value.column > after.column)
        last = after.id if after is not None else None
        while len(some := keys.behind(last, page)):
            found = [
                row for table in stored.tables(head.manifest, some, layout) for row in rows_of(table.select(columns))
            ]
            found.sort()
            last = found[-1][0]
            yield from _values(place, ((id, errors) for id, errors in found))


def _values(place: Place, rows: Iterable[tuple[str, str]]) -> Iterator[FailedValue]:
    for id, errors in rows:
        for column, entry in sorted(json.loads(errors).items()):
            yield FailedValue(
                customer_id=place.customer_id,
                id=id,
                column=column,
                field=_text(entry.get("field")) or "",
                value=_text(entry.get("value")),
                reason=_text(entry.get("reason")) or "",
            )


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
