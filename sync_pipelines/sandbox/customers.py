"""The six invented customers: each has its own custom fields for the same business meaning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Any

from sync_pipelines.sandbox import hubspot_schema, salesforce_schema, values
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - the stand-in's own, worth nothing elsewhere

TIERS = ("Gold", "Silver", "Bronze")
_RENEWAL = (-60, 400)


@dataclass(frozen=True, kw_only=True)
class Customer:
    """One connected account. `account`: org id or portal id. `meanings`: our word -> the vendor's field.

    The fields of `meanings` exist on Account and Contact (companies and contacts).
    """

    id: str
    title: str
    vendor: str
    account: str
    environment: str
    custom: Callable[[], tuple[FieldSpec, ...]]
    custom_object: Callable[[str], ObjectSpec]
    meanings: Mapping[str, str]
    sizes: Mapping[str, int]

    def objects(self) -> dict[str, ObjectSpec]:
        """Every object of this account, those that others refer to first."""
        extra = self.custom()
        if self.vendor == "salesforce":
            known = salesforce_schema.standard_objects(extra)
        else:
            known = hubspot_schema.standard_objects(int(self.account), extra)
        own = self.custom_object(self.account)
        return {**known, own.name: own}

    @property
    def own_app(self) -> tuple[str, str]:
        """(id, secret) of an app in this organisation that gets tokens by itself."""
        return f"sandbox-app-{self.account}", f"sandbox-app-secret-{self.account}"

    def access_token(self, seed: int) -> str:
        return initial_token(self, seed, "access")

    def refresh_token(self, seed: int) -> str:
        return initial_token(self, seed, "refresh")


def initial_token(customer: Customer, seed: int, kind: str) -> str:
    text = sha256(f"{seed}/{customer.id}/{kind}".encode()).hexdigest()
    if customer.vendor == "hubspot":
        return f"sandbox-{kind}-{text}"
    return f"{customer.account[:15]}!{text}" if kind == "access" else f"5Aep{text}"


def _field(type: str, name: str, make: Any, **rest: Any) -> FieldSpec:
    label = name.removesuffix("__c").replace("_", " ").title()
    return FieldSpec(name=name, type=type, make=make, label=label, custom=True, **rest)


@cache
def _acme() -> tuple[FieldSpec, ...]:
    return (
        _field("currency", "ARR__c", values.maybe(0.8, values.money(5_000_000))),
        _field("picklist", "Tier__c", values.maybe(0.9, values.pick(*TIERS)), choices=TIERS),
        _field("date", "Renewal_Date__c", values.maybe(0.8, values.day_in(*_RENEWAL))),
        _field("boolean", "Strategic__c", values.chance(0.2)),
        _field("multipicklist", "Products__c", values.maybe(0.5, values.pick("Arms", "Arms;Grippers", "Vision"))),
    )


@cache
def _brightwater() -> tuple[FieldSpec, ...]:
    tiers = ("platinum", "gold", "standard")
    return (
        _field("double", "Annual_Revenue_USD__c", values.maybe(0.85, values.money(900_000))),
        _field("string", "Customer_Tier__c", values.maybe(0.9, values.pick(*tiers, "GOLD ", "gold\u00a0"))),
        _field("string", "Contract_Renewal__c", values.maybe(0.8, values.day_text(*_RENEWAL))),
        _field("picklist", "Is_Key_Account__c", values.maybe(0.9, values.pick("Yes", "No")), choices=("Yes", "No")),
    )


@cache
def _kestrel() -> tuple[FieldSpec, ...]:
    return (
        _field("string", "Revenue_Text__c", values.maybe(0.9, values.money_text)),
        _field("string", "Segment__c", values.maybe(0.9, values.pick("A", "B", "C", "A — größte", "β"))),
        _field("datetime", "Renews_On__c", values.maybe(0.7, values.moment_in(*_RENEWAL))),
        _field("string", "Strategic_Flag__c", values.pick("Y", "N", "true", "FALSE", "1", "0", "ja", None)),
    )


@cache
def _lumen() -> tuple[FieldSpec, ...]:
    return (
        _field("number", "arr", values.as_text(values.maybe(0.8, values.money(800_000)))),
        _field("enumeration", "tier", values.maybe(0.9, values.pick("gold", "silver")), choices=("gold", "silver")),
        _field("date", "renewal_date", values.maybe(0.8, values.day_in(*_RENEWAL))),
        _field(
            "bool", "is_strategic", values.as_text(values.maybe(0.9, values.chance(0.3))), choices=("true", "false")
        ),
    )


@cache
def _harbor() -> tuple[FieldSpec, ...]:
    return (
        _field("number", "annual_recurring_revenue", values.as_text(values.maybe(0.9, values.integer(0, 2_000_000)))),
        _field("string", "plan_tier", values.maybe(0.9, values.pick(*TIERS, "gold/silver?", ""))),
        _field("datetime", "contract_end", values.maybe(0.8, values.moment_in(*_RENEWAL))),
        _field("enumeration", "key_account", values.maybe(0.8, values.pick("yes", "no")), choices=("yes", "no")),
    )


@cache
def _quill() -> tuple[FieldSpec, ...]:
    return (
        _field("string", "rev_text", values.maybe(0.9, values.money_text)),
        _field("string", "customer_class", values.maybe(0.9, values.pick("1st", "2nd", "3rd", "1st 🥇"))),
        _field("string", "renewal_text", values.maybe(0.8, values.day_text(*_RENEWAL))),
        _field("string", "strategic_account", values.pick("Yes", "No", "TRUE", "f", "maybe", "", None)),
    )


def _salesforce_custom(name: str, prefix: str) -> Callable[[str], ObjectSpec]:
    @cache
    def own() -> ObjectSpec:
        fields = (
            salesforce_schema.text("Name", lambda draw: f"{name.removesuffix('__c')} {draw.n + 1}", length=80),
            _field("reference", "Account__c", values.reference("Account", 0.8), refers_to=("Account",)),
            _field("email", "Email__c", values.maybe(0.6, values.email("staff.example"))),
            _field("double", "Score__c", values.maybe(0.7, values.money(100)), scale=2),
            _field("date", "Started_On__c", values.day_in(-2000, 0)),
            _field("textarea", "Remarks__c", values.notes(32_000), length=32_000),
            salesforce_schema.refer("OwnerId", "User"),
        )
        return salesforce_schema.salesforce_object(name, name.removesuffix("__c") + "s", prefix, fields)

    return lambda account: own()


def _car(account: str) -> ObjectSpec:
    fields = (
        _field("string", "model", lambda draw: f"Model {draw.n % 40}", shown=True),
        _field("number", "year", values.as_text(values.integer(1995, 2026)), shown=True),
        _field("date", "sold_on", values.maybe(0.6, values.day_in(-900, 0))),
        _field("bool", "electric", values.as_text(values.chance(0.4)), choices=("true", "false")),
    )
    stamps = ("hs_createdate", "hs_lastmodifieddate")
    type_id = f"2-{int(account) % 1_000_000 + 3_000_000}"
    return hubspot_schema.hubspot_object(f"p{account}_car", "Car", type_id, fields, stamps, custom=True)


def _meanings(revenue: str, tier: str, renewal: str, strategic: str) -> dict[str, str]:
    return {"annual_revenue": revenue, "tier": tier, "renewal_date": renewal, "is_strategic": strategic}


def _salesforce(custom_object: str, contacts: int, accounts: int, opportunities: int) -> dict[str, int]:
    return {
        "User": 14, "Account": accounts, "Contact": contacts, "Lead": 420, "Opportunity": opportunities, "Task": 300,
        "Campaign": 12, "Case": 160, "EmailMessage": 120, "EmailTemplate": 9, custom_object: 90,
    }  # fmt: skip


def _hubspot(account: str, contacts: int, companies: int, deals: int) -> dict[str, int]:
    return {
        "owners": 12, "companies": companies, "contacts": contacts, "deals": deals, "tickets": 160, "leads": 210,
        f"p{account}_car": 90,
    }  # fmt: skip


DEMO: tuple[Customer, ...] = (
    Customer(
        id="acme-robotics",
        title="Acme Robotics",
        vendor="salesforce",
        account="00DHs000000Acm1MAC",
        environment="production",
        custom=_acme,
        custom_object=_salesforce_custom("Employee__c", "a01"),
        meanings=_meanings("ARR__c", "Tier__c", "Renewal_Date__c", "Strategic__c"),
        sizes=_salesforce("Employee__c", 2600, 520, 610),
    ),
    Customer(
        id="brightwater-clinics",
        title="Brightwater Clinics",
        vendor="salesforce",
        account="00DHb000000Brw2MAG",
        environment="production",
        custom=_brightwater,
        custom_object=_salesforce_custom("Clinic__c", "a02"),
        meanings=_meanings("Annual_Revenue_USD__c", "Customer_Tier__c", "Contract_Renewal__c", "Is_Key_Account__c"),
        sizes=_salesforce("Clinic__c", 1500, 380, 450),
    ),
    Customer(
        id="kestrel-logistics",
        title="Kestrel Logistics",
        vendor="salesforce",
        account="00DHk000000Kes3MAE",
        environment="sandbox",
        custom=_kestrel,
        custom_object=_salesforce_custom("Shipment__c", "a03"),
        meanings=_meanings("Revenue_Text__c", "Segment__c", "Renews_On__c", "Strategic_Flag__c"),
        sizes=_salesforce("Shipment__c", 900, 240, 300),
    ),
    Customer(
        id="lumen-bakery",
        title="Lumen Bakery",
        vendor="hubspot",
        account="4410101",
        environment="production",
        custom=_lumen,
        custom_object=_car,
        meanings=_meanings("arr", "tier", "renewal_date", "is_strategic"),
        sizes=_hubspot("4410101", 2700, 560, 620),
    ),
    Customer(
        id="harbor-fitness",
        title="Harbor Fitness",
        vendor="hubspot",
        account="4420202",
        environment="production",
        custom=_harbor,
        custom_object=_car,
        meanings=_meanings("annual_recurring_revenue", "plan_tier", "contract_end", "key_account"),
        sizes=_hubspot("4420202", 1700, 400, 480),
    ),
    Customer(
        id="quill-media",
        title="Quill Media",
        vendor="hubspot",
        account="4430303",
        environment="production",
        custom=_quill,
        custom_object=_car,
        meanings=_meanings("rev_text", "customer_class", "renewal_text", "strategic_account"),
        sizes=_hubspot("4430303", 950, 280, 330),
    ),
)


def customers(count: int = len(DEMO)) -> tuple[Customer, ...]:
    """The six, then numbered copies of them with account ids of their own, up to `count` in all."""
    more = []
    for number in range(len(DEMO), count):
        like = DEMO[number % len(DEMO)]
        account = f"{like.account[:5]}{number:010d}MAX" if like.vendor == "salesforce" else str(5_000_000 + number)
        sizes = {name.replace(like.account, account): size for name, size in like.sizes.items()}
        more.append(
            replace(like, id=f"{like.id}-{number}", title=f"{like.title} {number}", account=account, sizes=sizes)
        )
    return (*DEMO, *more)[:count]
