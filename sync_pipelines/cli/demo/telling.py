"""The demo's CRMs tell changes by themselves: HubSpot by webhooks, Salesforce by outbound messages."""

import sys
import time
from typing import Final

from sync_pipelines.cli.printing import console
from sync_pipelines.incoming import url_for
from sync_pipelines.project import Project
from sync_pipelines.sandbox.control import Control

SECONDS: Final = 60
_NAMES: Final = {"salesforce": ("Contact", "LastName"), "hubspot": ("contacts", "lastname")}


def subscribe(project: Project, sandbox: Control, api_url: str) -> None:
    """Every customer's CRM tells changes of contacts to the API from now on."""
    kinds = ("creation", "deletion", "merge", "restore", "associationChange", "privacyDeletion")
    sandbox.webhooks(
        f"{api_url}/webhooks/hubspot",
        [
            *({"eventType": f"contact.{kind}"} for kind in kinds),
            {"eventType": "contact.propertyChange", "propertyName": "lastname"},
        ],
    )
    for connection in project.store.connections.list(provider="salesforce"):
        sandbox.outbound_messages(connection.customer_id, api_url + url_for(project, connection), ["Contact"])


def new_contacts(project: Project, sandbox: Control) -> None:
    """A new contact in each vendor's first account, and how long each took to its row. SystemExit where one is late."""
    for vendor, (name, field) in _NAMES.items():
        connection = project.store.connections.list(provider=vendor)[0]
        begun = time.monotonic()
        id = sandbox.record(connection.customer_id, name, fields={field: "Seconds-Ago"})
        while not _is_there(project, vendor, connection.customer_id, id):
            if time.monotonic() - begun > SECONDS:
                sys.exit(f"A contact that {connection.customer_id} made was not there after {SECONDS} s.")
            time.sleep(0.1)
        console.print(
            f"  {connection.customer_id} made a contact in its CRM: in the warehouse after "
            f"{time.monotonic() - begun:.1f} s, without a run",
            markup=False,
        )


def _is_there(project: Project, vendor: str, customer: str, id: str) -> bool:
    columns, rows = project.sample(f"{vendor}_crm", "contact", customer, 20)
    at = columns.index("id")
    return any(row[at] == id for row in rows)
