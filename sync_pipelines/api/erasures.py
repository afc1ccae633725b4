"""Erasing a customer everywhere, and the receipts of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sync_pipelines.api.access import CustomersEraser, LogsReader, TheProject, seen
from sync_pipelines.api.connections import TheCustomer
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position
from sync_pipelines.api.problems import answers
from sync_pipelines.api.shapes import Shape
from sync_pipelines.api.words import CustomerId
from sync_pipelines.erasing import erase, left_over
from sync_pipelines.store.erasing import Erasure

router = APIRouter(tags=["connections"])


class AccessShape(BaseModel):
    """What became of our access to an account: `ended` where the vendor takes our tokens no more."""

    provider: str
    ended: bool
    message: str = Field(examples=["Salesforce has ended the access."])


class ReceiptShape(Shape):
    """What was erased: how many rows, by where they were. `dagster` is missing there while Dagster has not done its
    part yet. `customer_hash` is the SHA-256 of `salt` and the customer's id; the receipt does not tell who it was."""

    id: str
    customer_hash: str
    salt: str
    actor: str
    begun_at: datetime
    finished_at: datetime | None
    removed: dict[str, dict[str, int]] = Field(
        examples=[{"warehouse/crm": {"crm_contact": 2600}, "store": {"connections": 1, "runs": 40}}]
    )
    access: list[AccessShape] = Field(description="At the vendors; empty where there was none")
    troubles: list[str] = Field(description="What a person has to look at: something may be elsewhere")
    left: list[str] = Field(description="What is not removed by this, for a person")
    digest: str | None = Field(description="SHA-256 of the receipt as it was at `finished_at`; it never changes")
    final_digest: str | None = Field(description="SHA-256 of the receipt with Dagster's part, once that is done")

    @classmethod
    def of(cls, found: Erasure) -> "ReceiptShape":
        names = ("customer_hash", "salt", "actor", "begun_at", "finished_at", "removed", "troubles")
        told = {name: getattr(found, name) for name in (*names, "digest", "final_digest")}
        return cls(id=str(found.id), left=left_over(found), access=list(found.access.values()), **told)


@router.delete("/customers/{customer_id}", responses=answers(502))
def erase_customer(customer_id: TheCustomer, project: TheProject, caller: CustomersEraser) -> ReceiptShape:
    """Erase it everywhere: its rows in every destination, credentials, mappings, runs, logs. The receipt.

    Its runs are stopped first, for which it waits up to a minute. Repeating it finishes what was broken off. Whoever is
    not connected (any more) may have rows too, so that no customer is refused as unknown.
    """
    seen(caller, customer_id)
    return ReceiptShape.of(erase(project, customer_id, actor=caller.actor))


@router.get("/erasures", responses=answers())
def list_erasures(
    project: TheProject,
    caller: LogsReader,
    customer_id: Annotated[
        CustomerId | None, Query(description="Whose; a receipt itself does not tell who it was")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[ReceiptShape]:
    """Receipts of erasing, newest first, begun ones too. Only for tokens of all customers."""
    caller.of_all()
    key = position(cursor, int)
    before = None if key is None else int(key[0])
    found = project.store.erasing.page(customer_id=customer_id, before=before, limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.id,))
    return Listed(items=[ReceiptShape.of(each) for each in shown], next_cursor=following)
