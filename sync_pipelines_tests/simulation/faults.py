"""What can go wrong at the vendor for a while."""

LISTED = "queryAll|/query/|/crm/v3/objects|/search"

FAULTS = (
    ("rate_limit", {}),
    ("rate_limit", {"retry_after": 5}),
    ("rate_limit", {"retry_after": 600}),
    ("status", {"status": 500}),
    ("status", {"status": 503, "empty": True}),
    ("html", {}),
    ("html", {"status": 502}),
    ("cut_json", {}),
    ("truncated", {}),
    ("reset", {}),
    ("token_expired", {}),
    ("missing_scope", {}),
    ("duplicate_id", {}),
    ("repeated_page_token", {}),
    ("record_without_id", {}),
)
OF_SALESFORCE = (
    ("expired_locator", {}),
    ("bulk_job_fails", {}),
    ("bulk_limit", {}),
    ("slow_job", {"polls": 3}),
)
PAGES = frozenset({"duplicate_id", "repeated_page_token", "record_without_id"})


def drawn(rng, vendor):
    """(name, options): for a few calls or pages, beginning with the next or a later one."""
    name, options = rng.choice(FAULTS + OF_SALESFORCE if vendor == "salesforce" else FAULTS)
    wish = {**options, "times": rng.choice((1, 1, 2, 4)), "after": rng.choice((0, 0, 1, 2, 5))}
    if name not in PAGES and rng.random() < 0.5:
        wish["path"] = LISTED
    return name, wish
