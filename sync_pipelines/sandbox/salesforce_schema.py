"""The standard objects of an invented Salesforce organisation."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sync_pipelines.sandbox import names, values
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec, by_name

STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost")
_RATINGS = ("Hot", "Warm", "Cold")
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_LONG_TEXT = 32_000


def text(name: str, make: Any, **rest: Any) -> FieldSpec:
    return FieldSpec(name=name, type="string", make=make, **rest)


def choice(name: str, *choices: str, share: float = 1.0) -> FieldSpec:
    return FieldSpec(name=name, type="picklist", make=values.maybe(share, values.pick(*choices)), choices=choices)


def refer(name: str, *objects: str, share: float = 1.0, **rest: Any) -> FieldSpec:
    return FieldSpec(
        name=name, type="reference", make=values.reference(objects[0], share), refers_to=objects, length=18, **rest
    )


def typed(name: str, type: str, make: Any = None, **rest: Any) -> FieldSpec:
    return FieldSpec(name=name, type=type, make=make, **rest)


def address(prefix: str, compound: str, share: float) -> tuple[FieldSpec, ...]:
    """The five parts of an address and the compound field over them."""
    parts = tuple(f"{prefix}{part}" for part in ("Street", "City", "State", "PostalCode", "Country"))
    makes: Sequence[Callable[..., Any]] = (values.street, *(values.city(part) for part in range(4)))

    def some(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda draw: make(draw) if draw.n % 100 < share * 100 else None

    fields = [
        FieldSpec(name=name, type="textarea" if name == parts[0] else "string", make=some(make))
        for name, make in zip(parts, makes, strict=True)
    ]
    return *fields, FieldSpec(name=compound, type="address", parts=parts, writable=False)


def system(mergeable: bool) -> tuple[FieldSpec, ...]:
    merged = (
        FieldSpec(name="MasterRecordId", type="reference", writable=False, length=18),
    ) if mergeable else ()  # fmt: skip
    return (
        FieldSpec(name="Id", type="id", writable=False, length=18),
        FieldSpec(name="IsDeleted", type="boolean", writable=False),
        *merged,
        FieldSpec(name="CreatedDate", type="datetime", writable=False),
        FieldSpec(name="LastModifiedDate", type="datetime", writable=False),
        FieldSpec(name="SystemModstamp", type="datetime", writable=False),
    )


_PERSON = (
    text("FirstName", values.maybe(0.97, values.given), length=40),
    text("LastName", values.family, length=80, required=True),
    text("Name", values.join("FirstName", "LastName"), writable=False, length=121),
)
_OWNED = (refer("OwnerId", "User"),)


def _contact() -> tuple[FieldSpec, ...]:
    return (
        *_PERSON,
        refer("AccountId", "Account", share=0.9),
        typed("Email", "email", values.maybe(0.95, values.email("contacts.example")), length=80),
        typed("Phone", "phone", values.maybe(0.7, values.phone), length=40),
        typed("MobilePhone", "phone", values.maybe(0.4, values.phone), length=40),
        typed("HomePhone", "phone", values.maybe(0.1, values.phone), length=40),
        typed("OtherPhone", "phone", values.maybe(0.05, values.phone), length=40),
        typed("Fax", "phone", values.maybe(0.1, values.phone), length=40),
        text("Title", values.pick(*names.TITLES), length=128),
        text("Department", values.maybe(0.3, values.pick("Sales", "Finance", "Operations", "R&D")), length=80),
        choice("LeadSource", *_SOURCES, share=0.6),
        *address("Mailing", "MailingAddress", 0.8),
        *address("Other", "OtherAddress", 0.15),
        typed("Birthdate", "date", values.maybe(0.2, values.day_in(-22_000, -8_000))),
        typed("HasOptedOutOfEmail", "boolean", values.chance(0.07)),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        typed("LastActivityDate", "date", values.maybe(0.5, values.day_in(-300, 0)), writable=False),
        *_OWNED,
    )


def _account() -> tuple[FieldSpec, ...]:
    return (
        text("Name", values.company, required=True),
        refer("ParentId", "Account", share=0.08),
        choice("Type", "Customer - Direct", "Customer - Channel", "Prospect", "Partner", share=0.8),
        choice("Industry", *names.INDUSTRIES, share=0.85),
        typed("AnnualRevenue", "currency", values.maybe(0.7, values.money(50_000_000))),
        typed("NumberOfEmployees", "int", values.maybe(0.7, values.integer(1, 40_000))),
        typed("Website", "url", values.maybe(0.9, values.website)),
        typed("Phone", "phone", values.maybe(0.8, values.phone), length=40),
        typed("Fax", "phone", values.maybe(0.2, values.phone), length=40),
        choice("Rating", *_RATINGS, share=0.5),
        *address("Billing", "BillingAddress", 0.9),
        *address("Shipping", "ShippingAddress", 0.4),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        typed("LastActivityDate", "date", values.maybe(0.5, values.day_in(-300, 0)), writable=False),
        *_OWNED,
    )


def _lead() -> tuple[FieldSpec, ...]:
    converted = 0.12
    return (
        *_PERSON,
        text("Company", values.company, required=True),
        text("Title", values.pick(*names.TITLES), length=128),
        typed("Email", "email", values.maybe(0.9, values.email("leads.example")), length=80),
        typed("Phone", "phone", values.maybe(0.6, values.phone), length=40),
        typed("MobilePhone", "phone", values.maybe(0.3, values.phone), length=40),
        *address("", "Address", 0.7),
        choice("LeadSource", *_SOURCES, share=0.9),
        choice("Status", "Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
        choice("Rating", *_RATINGS, share=0.4),
        typed("IsConverted", "boolean", values.chance(converted), writable=False),
        typed("ConvertedDate", "date", _when_converted(values.day_in(-200, 0)), writable=False),
        refer_converted("ConvertedContactId", "Contact"),
        refer_converted("ConvertedAccountId", "Account"),
        refer_converted("ConvertedOpportunityId", "Opportunity"),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        *_OWNED,
    )


def _when_converted(make: Any) -> Any:
    return lambda draw: make(draw) if draw.record["IsConverted"] else None


def refer_converted(name: str, object: str) -> FieldSpec:
    make = _when_converted(values.reference(object))
    return FieldSpec(name=name, type="reference", make=make, refers_to=(object,), writable=False, length=18)


def _opportunity() -> tuple[FieldSpec, ...]:
    def stage_number(draw: Any) -> int:
        return STAGES.index(draw.record["StageName"])

    return (
        text("Name", lambda draw: f"{values.company(draw)} {draw.n + 1}", length=120, required=True),
        refer("AccountId", "Account", share=0.95),
        choice("StageName", *STAGES),
        typed("Amount", "currency", values.maybe(0.9, values.money(900_000))),
        typed("Probability", "percent", lambda draw: (10.0, 20.0, 60.0, 80.0, 100.0, 0.0)[stage_number(draw)], scale=0),
        typed("CloseDate", "date", values.day_in(-400, 200), required=True),
        typed("IsClosed", "boolean", lambda draw: stage_number(draw) >= 4, writable=False),
        typed("IsWon", "boolean", lambda draw: stage_number(draw) == 4, writable=False),
        choice("ForecastCategory", "Pipeline", "BestCase", "Forecast", "Closed", "Omitted"),
        choice("Type", "New Customer", "Existing Customer - Upgrade", share=0.6),
        choice("LeadSource", *_SOURCES, share=0.5),
        text("NextStep", values.maybe(0.3, values.sentence)),
        typed("ExpectedRevenue", "currency", _expected_revenue, writable=False, calculated=True),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        typed("LastActivityDate", "date", values.maybe(0.5, values.day_in(-300, 0)), writable=False),
        *_OWNED,
    )


def _expected_revenue(draw: Any) -> float | None:
    amount = draw.record["Amount"]
    return None if amount is None else round(amount * draw.record["Probability"]) / 100


def _user() -> tuple[FieldSpec, ...]:
    return (
        text("FirstName", values.given, length=40),
        text("LastName", values.family, length=80, required=True),
        text("Name", values.join("FirstName", "LastName"), writable=False, length=121),
        text("Username", lambda draw: f"user{draw.n + 1}@crm.example", length=80, required=True),
        typed("Email", "email", values.email("crm.example"), length=128),
        text("Alias", lambda draw: f"user{draw.n + 1}", length=8),
        text("Title", values.pick(*names.TITLES), length=80),
        typed("IsActive", "boolean", values.chance(0.85)),
        choice("UserType", "Standard"),
        choice("TimeZoneSidKey", "Europe/Berlin", "America/New_York", "Asia/Tokyo"),
        typed("LastLoginDate", "datetime", values.maybe(0.9, values.moment_in(-60, 0)), writable=False),
    )


def _task() -> tuple[FieldSpec, ...]:
    return (
        text("Subject", values.pick("Call", "Email", "Send Letter", "Send Quote", "Other")),
        refer("WhoId", "Contact", "Lead", share=0.8),
        refer("WhatId", "Account", "Opportunity", share=0.6),
        choice("Status", "Not Started", "In Progress", "Completed", "Deferred"),
        choice("Priority", "High", "Normal", "Low"),
        typed("ActivityDate", "date", values.maybe(0.9, values.day_in(-200, 100))),
        typed("IsClosed", "boolean", lambda draw: draw.record["Status"] == "Completed", writable=False),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        *_OWNED,
    )


def _campaign() -> tuple[FieldSpec, ...]:
    return (
        text("Name", lambda draw: f"{values.pick(*names.WORDS)(draw).title()} {draw.n + 1}", required=True, length=80),
        choice("Type", "Conference", "Webinar", "Email", "Advertisement"),
        choice("Status", "Planned", "In Progress", "Completed", "Aborted"),
        typed("StartDate", "date", values.day_in(-300, 0)),
        typed("EndDate", "date", values.day_in(0, 200)),
        typed("BudgetedCost", "currency", values.money(80_000)),
        typed("NumberSent", "double", values.integer(0, 20_000), scale=0),
        typed("IsActive", "boolean", values.chance(0.5)),
        *_OWNED,
    )


def _email_message() -> tuple[FieldSpec, ...]:
    return (
        text("Subject", values.sentence, length=3000),
        typed("TextBody", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        text("FromName", values.given),
        typed("FromAddress", "email", values.email("crm.example")),
        text("ToAddress", values.email("contacts.example"), length=4000),
        choice("Status", "New", "Read", "Replied", "Sent"),
        typed("Incoming", "boolean", values.chance(0.4)),
        typed("MessageDate", "datetime", values.moment_in(-300, 0)),
        refer("ParentId", "Case", share=0.5),
        refer("RelatedToId", "Opportunity", share=0.3),
    )


def _email_template() -> tuple[FieldSpec, ...]:
    return (
        text("Name", lambda draw: f"Template {draw.n + 1}", required=True, length=80),
        text("DeveloperName", lambda draw: f"Template_{draw.n + 1}", length=80),
        text("Subject", values.sentence, length=230),
        typed("HtmlValue", "textarea", lambda draw: f"<p>{values.sentence(draw)}</p>", length=384_000),
        typed("IsActive", "boolean", values.chance(0.8)),
        choice("TemplateType", "text", "html", "custom"),
        refer("FolderId", "User"),
        *_OWNED,
    )


def _case() -> tuple[FieldSpec, ...]:
    return (
        text("CaseNumber", lambda draw: f"{draw.n + 1001:08d}", writable=False, length=30),
        refer("ContactId", "Contact", share=0.9),
        refer("AccountId", "Account", share=0.9),
        text("Subject", values.sentence),
        choice("Status", "New", "Working", "Escalated", "Closed"),
        choice("Priority", "High", "Medium", "Low"),
        choice("Origin", "Email", "Phone", "Web"),
        typed("IsClosed", "boolean", lambda draw: draw.record["Status"] == "Closed", writable=False),
        typed("ClosedDate", "datetime", _when_closed(values.moment_in(-200, 0)), writable=False),
        typed("Description", "textarea", values.notes(_LONG_TEXT), length=_LONG_TEXT),
        *_OWNED,
    )


def _when_closed(make: Any) -> Any:
    return lambda draw: make(draw) if draw.record["IsClosed"] else None


_STANDARD: tuple[tuple[str, str, str, bool, Callable[[], tuple[FieldSpec, ...]]], ...] = (
    ("User", "Users", "005", False, _user),
    ("Account", "Accounts", "001", True, _account),
    ("Contact", "Contacts", "003", True, _contact),
    ("Lead", "Leads", "00Q", True, _lead),
    ("Opportunity", "Opportunities", "006", False, _opportunity),
    ("Task", "Tasks", "00T", False, _task),
    ("Campaign", "Campaigns", "701", False, _campaign),
    ("Case", "Cases", "500", True, _case),
    ("EmailMessage", "Email Messages", "02s", False, _email_message),
    ("EmailTemplate", "Email Templates", "00X", False, _email_template),
)


def salesforce_object(
    name: str, plural: str, prefix: str, fields: Sequence[FieldSpec], *, mergeable: bool = False
) -> ObjectSpec:
    label = name.removesuffix("__c").replace("_", " ")
    return ObjectSpec(
        name=name,
        label=label,
        plural=plural,
        type_id=prefix,
        fields=by_name(*system(mergeable), *fields),
        created_field="CreatedDate",
        modified_field="SystemModstamp",
        custom=name.endswith("__c"),
        first_number=2_000_033,
        step=7,
    )


@cache
def standard_objects(extra: tuple[FieldSpec, ...]) -> dict[str, ObjectSpec]:
    """The standard objects; an account's own custom fields stand on Account and Contact. Not to be changed."""
    own = {"Account": extra, "Contact": extra}
    return {
        name: salesforce_object(name, plural, prefix, (*fields(), *own.get(name, ())), mergeable=mergeable)
        for name, plural, prefix, mergeable, fields in _STANDARD
    }
