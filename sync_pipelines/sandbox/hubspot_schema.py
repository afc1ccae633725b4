"""The standard objects of an invented HubSpot portal. Every value is a string or null."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sync_pipelines.sandbox import names, values
from sync_pipelines.sandbox.schema import Draw, FieldSpec, Make, ObjectSpec, by_name

LIFECYCLE = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
)  # fmt: skip
_LONG_TEXT = 65_000


def text(name: str, make: Make, **rest: Any) -> FieldSpec:
    return FieldSpec(name=name, type="string", make=values.as_text(make), **rest)


def number(name: str, make: Make, **rest: Any) -> FieldSpec:
    return FieldSpec(name=name, type="number", make=values.as_text(make), **rest)


def choice(name: str, *choices: str, share: float = 1.0, **rest: Any) -> FieldSpec:
    return FieldSpec(
        name=name, type="enumeration", make=values.maybe(share, values.pick(*choices)), choices=choices, **rest
    )


def moment(name: str, make: Make | None = None, **rest: Any) -> FieldSpec:
    return FieldSpec(name=name, type="datetime", make=make, **rest)


def flag(name: str, share: float, **rest: Any) -> FieldSpec:
    return FieldSpec(
        name=name, type="bool", make=values.as_text(values.chance(share)), choices=("true", "false"), **rest
    )


def _system(created: str, modified: str) -> tuple[FieldSpec, ...]:
    return (
        FieldSpec(name="hs_object_id", type="number", writable=False, shown=True),
        moment(created, writable=False, shown=True),
        moment(modified, writable=False, shown=True),
        FieldSpec(name="hs_merged_object_ids", type="enumeration", writable=False),
        FieldSpec(name="hubspot_owner_id", type="enumeration", make=values.reference("owners", 0.9)),
    )


_PLACE = (
    text("address", values.maybe(0.8, values.street)),
    text("city", values.city(0)),
    text("state", values.city(1)),
    text("zip", values.city(2)),
    text("country", values.city(3)),
)


def _contacts() -> tuple[FieldSpec, ...]:
    return (
        text("firstname", values.maybe(0.96, values.given), shown=True),
        text("lastname", values.maybe(0.98, values.family), shown=True),
        text("email", values.maybe(0.97, values.email("contacts.example")), shown=True, unique=True),
        text("work_email", values.maybe(0.1, values.email("work.example"))),
        text("hs_additional_emails", values.maybe(0.05, _more_emails)),
        text("phone", values.maybe(0.7, values.phone)),
        text("mobilephone", values.maybe(0.4, values.phone)),
        text("fax", values.maybe(0.05, values.phone)),
        text("jobtitle", values.pick(*names.TITLES)),
        text("company", values.maybe(0.6, values.company)),
        *_PLACE,
        choice("lifecyclestage", *LIFECYCLE, share=0.95),
        choice("hs_lead_status", "NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED", share=0.5),
        moment("notes_last_updated", values.maybe(0.5, values.moment_in(-300, 0)), writable=False),
        moment("hs_last_sales_activity_timestamp", values.maybe(0.4, values.moment_in(-300, 0)), writable=False),
        number("num_associated_deals", values.maybe(0.3, values.integer(1, 5)), writable=False, calculated=True),
        number("hs_analytics_num_page_views", values.integer(0, 400), writable=False),
        text("message", values.notes(_LONG_TEXT)),
        text("hs_health_note", values.maybe(0.1, values.sentence), sensitive=True),
    )


def _more_emails(draw: Draw) -> str:
    return f"alias{draw.n}@contacts.example;second{draw.n}@contacts.example"


def _companies() -> tuple[FieldSpec, ...]:
    return (
        text("name", values.company, shown=True),
        text("domain", values.maybe(0.9, values.domain), shown=True),
        text("website", values.maybe(0.85, values.website)),
        text("description", values.notes(_LONG_TEXT)),
        choice("industry", *(name.upper() for name in names.INDUSTRIES), share=0.8),
        number("numberofemployees", values.maybe(0.7, values.integer(1, 30_000))),
        number("annualrevenue", values.maybe(0.6, values.money(40_000_000))),
        text("phone", values.maybe(0.8, values.phone)),
        *_PLACE,
        choice("lifecyclestage", *LIFECYCLE, share=0.9),
        choice("type", "PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER", share=0.6),
        moment("notes_last_updated", values.maybe(0.5, values.moment_in(-300, 0)), writable=False),
    )


def stages(portal: int) -> tuple[tuple[str, str, tuple[tuple[str, str, str, bool], ...]], ...]:
    """Deal pipelines: (id, label, stages of (id, label, probability, closed)). Labels repeat, ids do not."""
    return (
        (
            "default",
            "Sales Pipeline",
            (
                ("appointmentscheduled", "Appointment Scheduled", "0.2", False),
                ("qualifiedtobuy", "Qualified To Buy", "0.4", False),
                ("contractsent", "Contract Sent", "0.9", False),
                ("closedwon", "Closed Won", "1.0", True),
                ("closedlost", "Closed Lost", "0.0", True),
            ),
        ),
        (
            f"{portal * 3}",
            "Renewals",
            (
                (f"{portal * 7 + 1}", "Contract Sent", "0.5", False),
                (f"{portal * 7 + 2}", "Negotiation", "0.7", False),
                (f"{portal * 7 + 3}", "Closed Won", "1.0", True),
                (f"{portal * 7 + 4}", "Closed Lost", "0.0", True),
            ),
        ),
    )


def _deals(portal: int) -> tuple[FieldSpec, ...]:
    pipelines = {pipeline: steps for pipeline, _, steps in stages(portal)}
    closed = {
        step: (is_closed, chance == "1.0") for steps in pipelines.values() for step, _, chance, is_closed in steps
    }

    def stage(draw: Draw) -> str:
        steps = pipelines[draw.record["pipeline"]]
        return steps[int(draw.rng.random() * len(steps))][0]

    def state(place: int) -> Make:
        return lambda draw: "true" if closed[draw.record["dealstage"]][place] else "false"

    every_stage = tuple(closed)
    return (
        text("dealname", lambda draw: f"{values.company(draw)} {draw.n + 1}", shown=True),
        FieldSpec(
            name="pipeline", type="enumeration", make=values.pick(*pipelines), choices=tuple(pipelines), shown=True
        ),
        FieldSpec(name="dealstage", type="enumeration", make=stage, choices=every_stage, shown=True),
        number("amount", values.maybe(0.9, values.money(500_000)), shown=True),
        choice("deal_currency_code", "USD", "EUR", "JPY", share=0.7),
        moment("closedate", values.maybe(0.9, values.moment_in(-400, 200)), shown=True),
        FieldSpec(name="hs_is_closed", type="bool", make=state(0), writable=False, calculated=True),
        FieldSpec(name="hs_is_closed_won", type="bool", make=state(1), writable=False, calculated=True),
        choice("dealtype", "newbusiness", "existingbusiness", share=0.8),
        text("description", values.notes(_LONG_TEXT)),
        moment("notes_last_updated", values.maybe(0.5, values.moment_in(-300, 0)), writable=False),
    )


def ticket_stages() -> tuple[tuple[str, str, tuple[tuple[str, str, str, bool], ...]], ...]:
    steps = ("New", "Waiting on contact", "Waiting on us", "Closed")
    return (
        ("0", "Support Pipeline", tuple((str(n + 1), label, "", label == "Closed") for n, label in enumerate(steps))),
    )


def _tickets() -> tuple[FieldSpec, ...]:
    return (
        text("subject", values.sentence, shown=True),
        text("content", values.notes(_LONG_TEXT), shown=True),
        choice("hs_pipeline", "0", shown=True),
        choice("hs_pipeline_stage", "1", "2", "3", "4", shown=True),
        choice("hs_ticket_priority", "LOW", "MEDIUM", "HIGH", share=0.8, shown=True),
        choice("hs_ticket_category", "PRODUCT_ISSUE", "BILLING_ISSUE", "GENERAL_INQUIRY", share=0.5, shown=True),
    )


def _leads() -> tuple[FieldSpec, ...]:
    return (
        text("hs_lead_name", values.company, shown=True),
        choice("hs_lead_type", "NEW_BUSINESS", "UPSELL", "RE_ATTEMPTING", share=0.9),
        choice("hs_pipeline", "lead-pipeline-id", shown=True),
        choice("hs_pipeline_stage", "new-stage-id", "attempting-stage-id", "connected-stage-id", shown=True),
        choice("hs_lead_label", "HOT", "WARM", "COLD", share=0.5),
    )


def _owners() -> tuple[FieldSpec, ...]:
    return (
        text("email", values.email("crm.example")),
        text("firstName", values.given),
        text("lastName", values.family),
        FieldSpec(name="userId", type="number", make=lambda draw: 41_000_017 + draw.n * 3),
        FieldSpec(name="type", type="string", make=lambda draw: "QUEUE" if draw.n % 10 == 9 else "PERSON"),
    )


def hubspot_object(
    name: str, label: str, type_id: str, fields: Sequence[FieldSpec], stamps: tuple[str, str], custom: bool = False
) -> ObjectSpec:
    """The ids begin below a change of length, so that they order differently as text than as numbers."""
    return ObjectSpec(
        name=name,
        label=label,
        plural=label + "s" if not label.endswith("y") else label[:-1] + "ies",
        type_id=type_id,
        fields=by_name(*_system(*stamps), *fields),
        created_field=stamps[0],
        modified_field=stamps[1],
        custom=custom,
        first_number=9_701,
        step=3,
    )


_USUAL, _OTHER = ("createdate", "hs_lastmodifieddate"), ("hs_createdate", "hs_lastmodifieddate")


def standard_objects(portal: int, extra: tuple[FieldSpec, ...]) -> dict[str, ObjectSpec]:
    """The standard objects; a portal's own properties stand on companies and contacts."""
    deals = hubspot_object("deals", "Deal", "0-3", _deals(portal), _USUAL)
    shared = _shared_objects(extra)
    return {name: deals if name == "deals" else shared[name] for name in _ORDER}


_ORDER = ("owners", "companies", "contacts", "deals", "tickets", "leads")


@cache
def _shared_objects(extra: tuple[FieldSpec, ...]) -> dict[str, ObjectSpec]:
    """What does not depend on the portal is made once, so that thousands of portals cost little."""
    stamps = ("createdate", "lastmodifieddate")
    owners = ObjectSpec(
        name="owners",
        label="Owner",
        plural="Owners",
        type_id="owner",
        fields=by_name(*_owners()),
        created_field="createdAt",
        modified_field="updatedAt",
        first_number=87_001,
        step=11,
    )
    return {
        "owners": owners,
        "companies": hubspot_object("companies", "Company", "0-2", (*_companies(), *extra), _USUAL),
        "contacts": hubspot_object("contacts", "Contact", "0-1", (*_contacts(), *extra), stamps),
        "tickets": hubspot_object("tickets", "Ticket", "0-5", _tickets(), _USUAL),
        "leads": hubspot_object("leads", "Lead", "0-136", _leads(), _OTHER),
    }
