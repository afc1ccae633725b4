"""Mappings that were saved under several names of one object, brought together under the vendor's own name."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

_NAMES = text("SELECT DISTINCT provider, object FROM mappings")

_GATHER = text(
    """
    WITH moved AS (
        DELETE FROM mappings
        WHERE provider = :provider AND object = ANY(:names) AND customer_id IN (
            SELECT customer_id FROM mappings WHERE provider = :provider AND object = ANY(:others)
        )
        RETURNING *
    ),
    newest AS (
        SELECT DISTINCT ON (customer_id, object) customer_id, object, fields, saved_at
        FROM moved ORDER BY customer_id, object, version DESC
    ),
    several AS (SELECT customer_id FROM newest GROUP BY customer_id HAVING count(*) > 1),
    rules AS (
        SELECT newest.customer_id, field.key, field.value, newest.saved_at
        FROM newest CROSS JOIN LATERAL jsonb_each(newest.fields) AS field
    ),
    together AS (
        SELECT several.customer_id,
            coalesce(jsonb_object_agg(rules.key, rules.value ORDER BY rules.saved_at)
                FILTER (WHERE rules.key IS NOT NULL), '{}') AS fields
        FROM several LEFT JOIN rules USING (customer_id)
        GROUP BY several.customer_id
    ),
    every AS (
        SELECT customer_id, fields, actor, saved_at, version, object, false AS made FROM moved
        UNION ALL
        SELECT customer_id, fields, 'migrate', now(), 0, '', true FROM together
    )
    INSERT INTO mappings (customer_id, provider, object, version, fields, actor, saved_at)
    SELECT customer_id, :provider, :name,
        row_number() OVER (PARTITION BY customer_id ORDER BY made, saved_at, version, object), fields, actor, saved_at
    FROM every
    """
)


def gather(engine: Engine, name_of: Callable[[str, str], str]) -> None:
    """Every mapping under `name_of` (provider, object). Mappings where nothing is to be done are not touched.

    A customer who mapped one object under several names gets their versions one after the other by when they were
    saved, and a newest one with the rules of all, of which the one that was saved last counts.
    """
    with engine.begin() as database:
        for (provider, name), names in _several(database, name_of).items():
            others = [each for each in names if each != name]
            if others:
                # Who saves or gathers meanwhile waits.
                database.execute(text("LOCK TABLE mappings IN SHARE ROW EXCLUSIVE MODE"))
                database.execute(_GATHER, {"provider": provider, "name": name, "names": names, "others": others})


def _several(database: Connection, name_of: Callable[[str, str], str]) -> dict[tuple[str, str], list[str]]:
    """By provider and the vendor's name, the names in use."""
    found: dict[tuple[str, str], list[str]] = {}
    for provider, name in database.execute(_NAMES):
        found.setdefault((provider, name_of(provider, name).casefold()), []).append(name)
    return found
