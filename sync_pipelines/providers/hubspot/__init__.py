"""HubSpot CRM.

Facts from the vendor's published OpenAPI files (HubSpot/HubSpot-public-api-spec-collection, August 2026: objects,
associations v4, properties, pipelines, owners, account info, OAuth), its API usage guide and its changelog, as read in
August to November 2026. docs/providers/hubspot.md says what was proven how.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from sync_pipelines.model.association import associations_of, describe_associations
from sync_pipelines.model.budget import Quota
from sync_pipelines.model.common_model import Addresses, Compute, Emails, FirstOf, Label, Phones, Rule, Take
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import (
    CrmObject,
    FormField,
    Hosts,
    KeyForm,
    Limits,
    OAuth2,
    Provider,
    ReadPlan,
    RecordShape,
    Tokens,
)
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import Webhooks
from sync_pipelines.providers.hubspot.answers import (
    DAILY_PAUSE,
    classify,
    code_request,
    revoke_request,
    token_from,
    token_request,
    usage,
    window,
)
from sync_pipelines.providers.hubspot.associations import read_associations, read_associations_of
from sync_pipelines.providers.hubspot.conditions import pushed
from sync_pipelines.providers.hubspot.counting import changed, count
from sync_pipelines.providers.hubspot.describing import OWNERS, describe, identify
from sync_pipelines.providers.hubspot.lists import members
from sync_pipelines.providers.hubspot.paths import Paths, paths_of
from sync_pipelines.providers.hubspot.reading import find, read, read_ids
from sync_pipelines.providers.hubspot.webhooks import events, refusal

_STAGES: Final = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
    "closedwon",
    "closedlost",
)
# "Time in <stage>" counts on while a record stays in the stage. Its successors hs_v2_* have no value meanwhile and so
# stand still (knowledge base, "Use stage calculated properties", February 2026).
VOLATILE: Final = frozenset(f"hs_time_in_{stage}" for stage in _STAGES)

_SHAPE: Final = RecordShape(
    id=("id",),
    fields=("properties",),
    created=("createdAt",),
    modified=("updatedAt",),
    deleted=("archived",),
    merged_ids=("properties", "hs_merged_object_ids"),
)
_OWNER: Final = RecordShape(id=("id",), created=("createdAt",), modified=("updatedAt",), deleted=("archived",))

_ADDRESS: Final = {"street_1": "address", "city": "city", "state": "state", "postal_code": "zip", "country": "country"}


def _status(won: Any, closed: Any) -> str | None:
    if won is None and closed is None:
        return None
    return "WON" if won == "true" else "LOST" if closed == "true" else "OPEN"


def _lead_name(last: Any, whole: Any) -> Any:
    """The contact's last name, else the lead's own name, which is all that a lead must have."""
    return last or whole


def _owner_name(first: Any, last: Any) -> str | None:
    return " ".join(str(part) for part in (first, last) if part) or None


_CONTACT: Final[Mapping[str, Rule]] = {
    "first_name": Take("firstname"),
    "last_name": Take("lastname"),
    "lifecycle_stage": Take("lifecyclestage"),
    "account_id": FirstOf(("associations", "companies")),
    "owner_id": Take("hubspot_owner_id"),
    "last_activity_at": Take("notes_last_updated"),
    "email_addresses": Emails((("primary", "email"), ("work", "work_email"), ("other", "hs_additional_emails"))),
    "phone_numbers": Phones((("primary", "phone"), ("mobile", "mobilephone"), ("fax", "fax"))),
    "addresses": Addresses((("primary", _ADDRESS),)),
}
_COMPANY: Final[Mapping[str, Rule]] = {
    "name": Take("name"),
    "description": Take("description"),
    "industry": Take("industry"),
    "website": Take("website"),
    "lifecycle_stage": Take("lifecyclestage"),
    "owner_id": Take("hubspot_owner_id"),
    "number_of_employees": Take("numberofemployees"),
    "last_activity_at": Take("notes_last_updated"),
    "phone_numbers": Phones((("primary", "phone"),)),
    "addresses": Addresses((("primary", {**_ADDRESS, "street_2": "address2"}),)),
}
# What a lead shows of its contact and company are calculated properties of the lead.
_LEAD: Final[Mapping[str, Rule]] = {
    "first_name": Take("hs_associated_contact_firstname"),
    "last_name": Compute(("hs_associated_contact_lastname", "hs_lead_name"), _lead_name),
    "company": Take("hs_associated_company_name"),
    "lead_source": Take("hs_lead_source"),
    "owner_id": Take("hubspot_owner_id"),
    "email_addresses": Emails((("primary", "hs_associated_contact_email"),)),
    "phone_numbers": Phones(()),
    "addresses": Addresses(()),
}
_DEAL: Final[Mapping[str, Rule]] = {
    "name": Take("dealname"),
    "description": Take("description"),
    "stage": Label("dealstage", "stages"),
    "status": Compute(("hs_is_closed_won", "hs_is_closed"), _status),
    "pipeline": Label("pipeline", "pipelines"),
    "account_id": FirstOf(("associations", "companies")),
    "owner_id": Take("hubspot_owner_id"),
    "amount": Take("amount"),
    "currency": Take("deal_currency_code"),
    "close_date": Take("closedate"),
    "last_activity_at": Take("notes_last_updated"),
}
_OWNER_RULES: Final[Mapping[str, Rule]] = {
    "name": Compute(("firstName", "lastName"), _owner_name),
    "email": Take("email"),
    "is_active": Compute(("archived",), lambda archived: not archived),
}


def _object(
    name: str,
    aliases: tuple[str, ...] = (),
    *,
    cursor_field: str = "hs_lastmodifieddate",
    common_name: str | None = None,
    common: Mapping[str, Rule] | None = None,
) -> CrmObject:
    return CrmObject(
        name=name,
        shape=_SHAPE,
        cursor_field=cursor_field,
        created_field="createdate" if name in ("contacts", "companies", "deals", "tickets") else "hs_createdate",
        common_name=common_name,
        common=common or {},
        volatile=VOLATILE,
        aliases=aliases,
    )


OBJECTS: Final = (
    _object(
        "contacts",
        ("contact", "0-1"),
        cursor_field="lastmodifieddate",
        common_name="contact",
        common=_CONTACT,
    ),
    _object("companies", ("account", "accounts", "company", "0-2"), common_name="account", common=_COMPANY),
    _object("leads", ("lead", "0-136"), common_name="lead", common=_LEAD),
    _object("deals", ("opportunity", "opportunities", "deal", "0-3"), common_name="opportunity", common=_DEAL),
    CrmObject(name=OWNERS, shape=_OWNER, common_name="user", common=_OWNER_RULES, aliases=("user", "owner")),
    _object("tickets", ("ticket", "0-5")),
    _object("products", ("product", "0-7")),
    _object("line_items", ("line_item", "0-8")),
    _object("tasks", ("task", "0-27")),
    _object("notes", ("note", "0-46")),
    _object("meetings", ("meeting", "0-47")),
    _object("calls", ("call", "0-48")),
    _object("emails", ("email", "0-49")),
)


def custom_object(name: str) -> CrmObject:
    """Any object by its type id (2-123), full name (p123_car) or name. ConfigurationError for what cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}", name):
        raise ConfigurationError(
            f"{name!r} is no HubSpot object: write tickets, a type id (2-123) or p<portal>_<name>."
        )
    return _object(name)


def associate(parent: CrmObject) -> CrmObject:
    """The object of an object's associations. ConfigurationError for owners, which have none."""
    if parent.name == OWNERS:
        raise ConfigurationError("HubSpot's owners have no associations: take them out of the sync.")
    singular = {"companies": "company"}.get(parent.name) or parent.name.removesuffix("s")
    return associations_of(parent, singular)


def _describe(paths: Paths, crm_object: CrmObject) -> Flow:
    return describe_associations() if crm_object.associations_of is not None else describe(paths, crm_object)


def _read(paths: Paths, plan: ReadPlan) -> Flow:
    return read_associations(paths, plan) if plan.object.associations_of is not None else read(paths, plan)


def _read_ids(paths: Paths, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    with_links = plan.object.associations_of is not None
    return read_associations_of(paths, plan, ids) if with_links else read_ids(paths, plan, ids)


PRIVATE_APP: Final = KeyForm(
    title="Private app",
    hint="In HubSpot: Settings, Integrations, Private Apps. The app needs the scopes to read what is synced.",
    fields=(FormField(name="access_token", label="Access token", hint="It begins with pat-", secret=True),),
    tokens=lambda typed: Tokens(access_token=Secret(typed["access_token"])),
)
"""The token of a private app works until it is rotated there; there is nothing to refresh it with."""


def hubspot(version: str = "v3") -> Provider:
    """The provider over one of the vendor's path families: "v3" (what all its SDKs speak) or "2026-03"."""
    paths = paths_of(version)
    host = Hosts(login="https://api.hubapi.com", api="https://api.hubapi.com", authorize="https://app.hubspot.com")
    return Provider(
        name="hubspot",
        title="HubSpot",
        # A sandbox is a portal of its own on the same host.
        environments={"production": host, "sandbox": host},
        auth=OAuth2(
            authorize_path="/oauth/authorize",
            token_path=paths.oauth,
            scopes=(
                "oauth",
                "crm.objects.contacts.read",
                "crm.objects.companies.read",
                "crm.objects.deals.read",
                "crm.objects.leads.read",
                "crm.objects.owners.read",
            ),
        ),
        # Changelog: 100 requests in 10 seconds for the smallest plan (OAuth apps 110); search 5 in a second.
        limits=Limits(requests={"api": 100, "search": 50}, per_second={"search": 5}),
        objects=OBJECTS,
        describe=partial(_describe, paths),
        read=partial(_read, paths),
        find=partial(find, paths),
        read_ids=partial(_read_ids, paths),
        webhooks=Webhooks(refusal=refusal, events=events),
        count=partial(count, paths),
        changed=partial(changed, paths),
        pushed=pushed,
        members=partial(members, paths),
        identify=partial(identify, paths),
        classify=classify,
        refresh=partial(token_request, paths.oauth),
        exchange=partial(code_request, paths.oauth),
        revoke=partial(revoke_request, paths.revoke),
        key_form=PRIVATE_APP,
        token_from=token_from,
        custom_object=custom_object,
        associate=associate,
        usage=usage,
        window=window,
        # Until midnight in the portal's time zone, which no answer of a sync tells.
        quota=Quota(rolling=False, pause=DAILY_PAUSE),
    )
