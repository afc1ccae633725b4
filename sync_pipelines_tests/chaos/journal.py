"""A journal that the destination itself keeps: which run wrote which customer's rows, and when.

Runs that are killed leave no record of their own, but they do leave one here.
"""

from collections import defaultdict
from datetime import UTC
from itertools import pairwise

import psycopg

TABLES = ("crm_contact", "crm_account")

KEEP = """
CREATE TABLE public.journal (at timestamptz, run_id text, customer text, relation text);
CREATE FUNCTION public.keep_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.journal
    SELECT DISTINCT clock_timestamp(), _sync_run_id, _sync_customer_id, TG_TABLE_NAME FROM written;
    RETURN NULL;
END $$;
"""
WATCH = """
CREATE TRIGGER journal_{event} AFTER {event} ON crm.{table}
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.keep_journal()
"""


class Journal:
    """`url` is the warehouse's, whose tables are there already."""

    def __init__(self, url):
        self._url = url
        self._ask(KEEP)
        for table in TABLES:
            for event in ("INSERT", "UPDATE"):
                self._ask(WATCH.format(event=event, table=table))

    def _ask(self, statement, *parameters):
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def written(self, since):
        """[(run id, customer), ...] of what was written after a time of the server's clock."""
        return self._ask("SELECT DISTINCT run_id, customer FROM public.journal WHERE at > %s", since)

    def has(self, run_id, customer, table):
        """Whether rows that this run wrote are there for everybody."""
        query = "SELECT 1 FROM public.journal WHERE run_id = %s AND customer = %s AND relation = %s LIMIT 1"
        return bool(self._ask(query, run_id, customer, table))

    def last_written(self, since):
        """{(table, customer): when its rows were written last} after a time of the server's clock."""
        query = "SELECT relation, customer, max(at) FROM public.journal WHERE at > %s GROUP BY relation, customer"
        return {(table, customer): at.astimezone(UTC) for table, customer, at in self._ask(query, since)}

    def now(self):
        ((now,),) = self._ask("SELECT clock_timestamp()")
        return now

    def twice_at_once(self):
        """Where two runs wrote the same customer's rows of one table side by side. Empty when all is well."""
        stretches = self._ask(
            "SELECT relation, customer, min(at), max(at) FROM public.journal GROUP BY relation, customer, run_id"
        )
        return overlaps([((relation, customer), begun, ended) for relation, customer, begun, ended in stretches])


def overlaps(stretches):
    """Of [(what, begun, ended), ...] those that begin before the one before them of the same `what` has ended."""
    by_work = defaultdict(list)
    for what, begun, ended in sorted(stretches, key=lambda each: each[1]):
        by_work[what].append((begun, ended))
    return [
        (what, before, after)
        for what, times in by_work.items()
        for before, after in pairwise(times)
        if after[0] < before[1]
    ]
