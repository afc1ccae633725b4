"""What the demo prints: what landed, a few mapped rows, where to look."""

from collections.abc import Sequence
from datetime import timedelta

import psycopg

from sync_pipelines.cli.demo.asking import KEPT_IN
from sync_pipelines.cli.printing import console, table
from sync_pipelines.cli.run import NUMBERS, numbers
from sync_pipelines.cli.stage import WAREHOUSE, Stage, from_here
from sync_pipelines.config import DestinationConfig
from sync_pipelines.model.run import SyncRun
from sync_pipelines.project import Project

_MAPPED_ROWS = """
    SELECT * FROM (
        SELECT _sync_customer_id, _sync_provider_name, name, annual_revenue, tier, renewal_date, is_strategic,
               _sync_errors -> 'annual_revenue' ->> 'value' AS kept,
               row_number() OVER (PARTITION BY _sync_customer_id ORDER BY (_sync_errors IS NULL), id) AS place
        FROM crm.crm_account
        WHERE NOT is_deleted
    ) AS picked
    WHERE place <= 2
    ORDER BY _sync_customer_id, place
"""


def landed(project: Project, title: str, runs: Sequence[SyncRun]) -> None:
    """One line for each customer and object."""
    ordered = sorted(runs, key=lambda run: (run.customer_id, run.sync, run.object))
    table(
        f"\n{title}",
        ("customer", "object", "table", "read", *NUMBERS),
        (
            (
                run.customer_id,
                run.object,
                project.table(run.sync, run.object).name,
                *numbers(run),
            )
            for run in ordered
        ),
        right=NUMBERS,
    )
    read = sum(run.counts.read for run in runs)
    changed = sum(run.counts.changed for run in runs)
    console.print(f"{read:,} records read, {changed:,} rows created, updated or deleted.")


def mapped_rows(project: Project) -> None:
    """Accounts of all customers in one table, each from its own fields."""
    warehouse = project.configuration.destinations["warehouse"]
    assert isinstance(warehouse, DestinationConfig), "the demo's warehouse is a database"
    with psycopg.connect(
        host=warehouse.host, port=warehouse.port, dbname=warehouse.database, user=warehouse.user
    ) as connection:
        rows = connection.execute(_MAPPED_ROWS).fetchall()
    table(
        "\ncrm_account: every customer's own fields in your columns (kept: a text that is no number, in _sync_errors)",
        ("customer", "provider", "name", "annual_revenue", "tier", "renewal_date", "is_strategic", "kept"),
        (row[:-1] for row in rows),
        right=("annual_revenue",),
    )


def where_to_look(stage: Stage, project: Project, sandbox_url: str, *, once: bool) -> None:
    """The addresses, as long as things are up."""
    if once:
        return
    console.print("\nWhere to look")
    console.print(f"  Dagster    {stage.dagster.url}/asset-groups", markup=False)
    console.print(f"  API        {stage.api_url}/api/v1/openapi.json describes it; ask it:", markup=False)
    console.print(
        f'             curl -H "Authorization: Bearer $(cat {from_here(stage.folder / KEPT_IN)})" '
        f"{stage.api_url}/api/v1/syncs",
        markup=False,
        soft_wrap=True,
    )
    _, link = project.store.connect_sessions.create(
        "acme-robotics", "salesforce", lives=timedelta(days=1), actor="demo"
    )
    console.print(
        f"  customers  {stage.api_url}/connect/open/{link.reveal()} (Acme's own page, for the first browser)",
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"  verbs      {stage.keep_environment()} && sync-pipelines health (in another terminal, in this folder)",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"  warehouse  {stage.psql()}", markup=False)
    console.print(f"  CRMs       {sandbox_url}/_sandbox/accounts", markup=False)
    console.print(
        f"  database   {WAREHOUSE}, schema crm: crm_account, crm_contact, salesforce_campaign ...", markup=False
    )
