"""Some columns of stored records made anew, as they would be made beside all others."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sync_pipelines.engine.layout import ADDITIONAL_COLUMN, FieldPlan
from sync_pipelines.engine.mapping import LaterMapper, Mapped, RecordMapper
from sync_pipelines.model.destination import ROW_HEAD, Table
from sync_pipelines.model.provider import CrmObject, ObjectSchema
from sync_pipelines.model.secret import Secret

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def ruled_mapper(
    table: Table, crm_object: CrmObject, schema: ObjectSchema, plan: FieldPlan, hash_key: Secret | None
) -> LaterMapper:
    """Of all columns that have rules."""
    names = {ADDITIONAL_COLUMN.name, *(item.column for item in plan.custom)}
    return LaterMapper(
        lambda: RecordMapper(
            crm_object,
            schema,
            [column for column in table.columns if column.name in names],
            common=False,
            custom=plan.custom,
            additional=plan.additional,
            hash_key=hash_key,
        )
    )


class SomeColumns:
    """A mapper of some columns, which asks the one of all that have rules where these take more work than is free."""

    def __init__(self, some: RecordMapper, ruled: LaterMapper) -> None:
        self._some = some
        self._ruled = ruled

    def __call__(self, texts: Sequence[bytes], hashes: Sequence[int], *, carefully: bool = False) -> Mapped:
        """As of a RecordMapper."""
        made = self._some(texts, hashes, carefully=carefully)
        return self._beside(made, self._ruled(texts, hashes, carefully=carefully)) if made.is_heavy else made

    def _beside(self, made: Mapped, whole: Mapped) -> Mapped:
        hashes, errors, merged_into, *columns = made.columns
        ruled = dict(zip(self._ruled.names, whole.columns[ROW_HEAD:], strict=True))
        told = [self._told(*texts, ruled) for texts in zip(errors, whole.columns[1], strict=True)]
        columns = [ruled.get(name, column) for name, column in zip(self._some.names, columns, strict=True)]
        kept = [_encode(found) if found else None for found in told]
        return Mapped((hashes, kept, merged_into, *columns), sum(map(len, told)))

    def _told(self, own: bytes | None, whole: bytes | None, ruled: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: error for name, error in _decode(own or b"{}").items() if name not in ruled}
        return found | {name: error for name, error in _decode(whole or b"{}").items() if name in self._some.names}
