"""Salesforce: REST API and Bulk API 2.0.

Facts from the vendor's "REST API Developer Guide", "Bulk API 2.0 and Bulk API Developer Guide", "SOQL and SOSL
Reference" and "Object Reference" (Summer '26, API v67.0) and its Postman collection
(postman-salesforce-apis), as read in August to November 2026. docs/providers/salesforce.md says what was proven how.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from sync_pipelines.model.association import associations_of, describe_associations
from sync_pipelines.model.budget import Quota
from sync_pipelines.model.common_model import Addresses, Compute, Emails, Phones, Rule, Take
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import (
    CrmObject,
    FormField,
    Hosts,
    KeyForm,
    Limits,
    OAuth2,
    OwnApp,
    OwnLogin,
    Provider,
    ReadPlan,
    RecordShape,
    Tokens,
)
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import Webhooks
from sync_pipelines.providers.salesforce.answers import (
    OAUTH_PATH,
    app_request,
    classify,
    code_request,
    revoke_request,
    token_from,
    token_request,
    usage,
)
from sync_pipelines.providers.salesforce.associations import read_associations, read_associations_of
from sync_pipelines.providers.salesforce.campaigns import members
from sync_pipelines.providers.salesforce.conditions import pushed
from sync_pipelines.providers.salesforce.describing import changed, count, describe, identify
from sync_pipelines.providers.salesforce.outbound_messages import ACKNOWLEDGED, events
from sync_pipelines.providers.salesforce.reading import find, read, read_ids

API_VERSION: Final = "67.0"

# They tell when the connected user last looked at the record and move without SystemModstamp (Object Reference).
VOLATILE: Final = frozenset({"LastViewedDate", "LastReferencedDate"})

_SHAPE: Final = RecordShape(id=("Id",), created=("CreatedDate",), modified=("SystemModstamp",), deleted=("IsDeleted",))
# The losing record of a merge is deleted and names the survivor; only these objects can be merged (Object Reference).
_MERGEABLE: Final = RecordShape(
    id=("Id",),
    created=("CreatedDate",),
    modified=("SystemModstamp",),
    deleted=("IsDeleted",),
    merged_into=("MasterRecordId",),
)
# Users are deactivated, never deleted.
_USER: Final = RecordShape(id=("Id",), created=("CreatedDate",), modified=("SystemModstamp",))


def _address(prefix: str) -> Mapping[str, str]:
    return {
        "street_1": f"{prefix}Street",
        "city": f"{prefix}City",
        "state": f"{prefix}State",
        "postal_code": f"{prefix}PostalCode",
        "country": f"{prefix}Country",
    }


def _status(closed: Any, won: Any) -> str | None:
    if closed is None and won is None:
        return None
    return "WON" if won else "LOST" if closed else "OPEN"


_CONTACT: Final[Mapping[str, Rule]] = {
    "first_name": Take("FirstName"),
    "last_name": Take("LastName"),
    "account_id": Take("AccountId"),
    "owner_id": Take("OwnerId"),
    "last_activity_at": Take("LastActivityDate"),
    "email_addresses": Emails((("primary", "Email"),)),
    "phone_numbers": Phones(
        (
            ("primary", "Phone"),
            ("mobile", "MobilePhone"),
            ("fax", "Fax"),
            ("other", "HomePhone"),
            ("other", "OtherPhone"),
        )
    ),
    "addresses": Addresses((("mailing", _address("Mailing")), ("other", _address("Other")))),
}
_ACCOUNT: Final[Mapping[str, Rule]] = {
    "name": Take("Name"),
    "description": Take("Description"),
    "industry": Take("Industry"),
    "website": Take("Website"),
    "owner_id": Take("OwnerId"),
    "number_of_employees": Take("NumberOfEmployees"),
    "last_activity_at": Take("LastActivityDate"),
    "phone_numbers": Phones((("primary", "Phone"), ("fax", "Fax"))),
    "addresses": Addresses((("billing", _address("Billing")), ("shipping", _address("Shipping")))),
}
_LEAD: Final[Mapping[str, Rule]] = {
    "first_name": Take("FirstName"),
    "last_name": Take("LastName"),
    "title": Take("Title"),
    "company": Take("Company"),
    "lead_source": Take("LeadSource"),
    "owner_id": Take("OwnerId"),
    "converted_contact_id": Take("ConvertedContactId"),
    "converted_account_id": Take("ConvertedAccountId"),
    "converted_date": Take("ConvertedDate"),
    "email_addresses": Emails((("primary", "Email"),)),
    "phone_numbers": Phones((("primary", "Phone"), ("mobile", "MobilePhone"), ("fax", "Fax"))),
    "addresses": Addresses((("primary", _address("")),)),
}
_OPPORTUNITY: Final[Mapping[str, Rule]] = {
    "name": Take("Name"),
    "description": Take("Description"),
    "stage": Take("StageName"),
    "status": Compute(("IsClosed", "IsWon"), _status),
    "account_id": Take("AccountId"),
    "owner_id": Take("OwnerId"),
    "amount": Take("Amount"),
    "currency": Take("CurrencyIsoCode"),
    "close_date": Take("CloseDate"),
    "last_activity_at": Take("LastActivityDate"),
}
_USER_RULES: Final[Mapping[str, Rule]] = {
    "name": Take("Name"),
    "email": Take("Email"),
    "is_active": Take("IsActive"),
}


def _object(
    name: str,
    shape: RecordShape = _SHAPE,
    *,
    common_name: str | None = None,
    common: Mapping[str, Rule] | None = None,
    aliases: tuple[str, ...] = (),
) -> CrmObject:
    return CrmObject(
        name=name,
        shape=shape,
        cursor_field="SystemModstamp",
        created_field="CreatedDate",
        common_name=common_name,
        common=common or {},
        volatile=VOLATILE,
        aliases=aliases,
    )


OBJECTS: Final = (
    _object("Contact", _MERGEABLE, common_name="contact", common=_CONTACT, aliases=("contacts",)),
    _object("Account", _MERGEABLE, common_name="account", common=_ACCOUNT, aliases=("accounts",)),
    _object("Lead", _MERGEABLE, common_name="lead", common=_LEAD, aliases=("leads",)),
    _object("Opportunity", common_name="opportunity", common=_OPPORTUNITY, aliases=("opportunities",)),
    _object("User", _USER, common_name="user", common=_USER_RULES, aliases=("users",)),
    _object("Case", _MERGEABLE),
    *(_object(name) for name in ("Task", "Event", "Campaign", "CampaignMember", "EmailMessage", "EmailTemplate")),
)


def custom_object(name: str) -> CrmObject:
    """Any object by its API name. ConfigurationError for what cannot be one, since it goes into SOQL as it is."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,79}", name):
        raise ConfigurationError(
            f"{name!r} is no Salesforce object: write its API name, such as EmailMessage or Employee__c."
        )
    return _object(name)


def associate(parent: CrmObject) -> CrmObject:
    """The object of an object's links."""
    return associations_of(parent, parent.name)


def _describe(root: str, crm_object: CrmObject) -> Flow:
    return describe_associations() if crm_object.associations_of is not None else describe(root, crm_object)


def _read(root: str, plan: ReadPlan) -> Flow:
    return read_associations(root, plan) if plan.object.associations_of is not None else read(root, plan)


def _read_ids(root: str, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    with_links = plan.object.associations_of is not None
    return read_associations_of(root, plan, ids) if with_links else read_ids(root, plan, ids)


def _of_own_app(typed: Mapping[str, str]) -> Tokens:
    app = OwnApp(client_id=typed["client_id"], client_secret=Secret(typed["client_secret"]))
    return Tokens(access_token=Secret(""), app=app)


MY_DOMAIN: Final = OwnLogin(
    title="My Domain",
    # Salesforce Help, "My Domain URL Formats".
    pattern=r"https://[a-z0-9][a-z0-9-]*(\.((?P<sandbox>sandbox)|develop|scratch|trailblaze))?\.my\.salesforce\.com",
    example="https://acme.my.salesforce.com",
    hint="In Salesforce: Setup, My Domain, Current My Domain URL.",
)
# Salesforce Help, "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration".
OWN_APP: Final = KeyForm(
    title="An app of your organisation",
    hint="In Salesforce: Setup, External Client App Manager. The app needs the client credentials flow switched on, a "
    "user to run as, and the scopes api and openid. That user's rights decide what is read.",
    fields=(
        FormField(name="login_url", label=MY_DOMAIN.title, hint=f"Such as {MY_DOMAIN.example}. {MY_DOMAIN.hint}"),
        FormField(name="client_id", label="Consumer key"),
        FormField(name="client_secret", label="Consumer secret", secret=True),
    ),
    tokens=_of_own_app,
    login_url="login_url",
)


def salesforce(version: str = API_VERSION) -> Provider:
    """The provider at an API version: "67.0" or "v67.0". ConfigurationError for what is no version."""
    if not re.fullmatch(r"v?[1-9]\d{1,2}\.0", version):
        raise ConfigurationError(f"Salesforce has no API version {version!r}: write one such as {API_VERSION}.")
    root = f"/services/data/v{version.removeprefix('v')}"
    return Provider(
        name="salesforce",
        title="Salesforce",
        environments={
            "production": Hosts(login="https://login.salesforce.com"),
            "sandbox": Hosts(login="https://test.salesforce.com"),
        },
        auth=OAuth2(
            authorize_path="/services/oauth2/authorize",
            token_path=OAUTH_PATH,
            scopes=("api", "refresh_token", "openid"),
            pkce=True,
            own_login=MY_DOMAIN,
        ),
        # No limit per second; a developer org takes 5 long requests at once, others 25.
        limits=Limits(requests={}, concurrent=5),
        objects=OBJECTS,
        describe=partial(_describe, root),
        read=partial(_read, root),
        find=partial(find, root),
        read_ids=partial(_read_ids, root),
        webhooks=Webhooks(refusal=None, events=events, answer=ACKNOWLEDGED, answer_type="text/xml"),
        count=partial(count, root),
        changed=partial(changed, root),
        pushed=pushed,
        members=partial(members, root),
        identify=identify,
        classify=classify,
        refresh=token_request,
        exchange=code_request,
        revoke=revoke_request,
        app_form=OWN_APP,
        app_tokens=app_request,
        token_from=token_from,
        custom_object=custom_object,
        associate=associate,
        usage=usage,
        quota=Quota(rolling=True, always_told=True),
    )
