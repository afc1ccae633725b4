"""One record's row, with all that is known of it."""

import json
from decimal import Decimal
from typing import Any

from sync_pipelines.destinations.s3.compaction import layout_of
from sync_pipelines.destinations.s3.layout import Layout
from sync_pipelines.destinations.s3.manifest import Chain
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.destinations.s3.values import FileRow
from sync_pipelines.model.destination import Found, Scope, StoredRow, Table


def find_row(chain: Chain, stored: Stored, scope: Scope, table: Table, id: str) -> Found:
    """See `model.destination.Destination.find`."""
    head = chain.read()
    if head is None:
        return Found()
    manifest, layout = head.manifest, layout_of(head.manifest)
    chain.publish(head)
    position = manifest.position(scope)
    found = stored.rows(manifest, stored.keys(manifest).find([id]), layout).get(id)
    if found is None:
        found = stored.removal(manifest, id, layout)
    return Found(
        checkpoint=position.checkpoint if position else None,
        row=None if found is None else _row(layout, found),
        remade={
            column.name: manifest.remade[column.name] for column in table.columns if column.name in manifest.remade
        },
    )


def _row(layout: Layout, row: FileRow) -> StoredRow:
    def meta(name: str) -> Any:
        return row[layout.places[layout.meta(name)]]

    return StoredRow(
        emitted_at=meta("emitted_at"),
        run_id=meta("run_id"),
        errors=json.loads(meta("errors") or "{}"),
        merged_into=meta("merged_into"),
        removed=meta("removed") is True,
        values={
            column.name: _value(column.type, row[layout.places[column.name]])
            for column in (*layout.table.columns, *layout.others)
        },
    )


def _value(kind: str, told: Any) -> Any:
    return json.loads(told, parse_float=Decimal) if kind == "jsonb" and told is not None else told
