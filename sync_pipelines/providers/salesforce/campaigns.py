"""Members of a campaign, Salesforce's lists of people."""

from typing import Final

import msgspec

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow, Get
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.providers.salesforce.describing import QueryPage
from sync_pipelines.providers.salesforce.soql import long_id, text

MEMBERS: Final = {"Contact": "ContactId", "Lead": "LeadId"}


def members(root: str, crm_object: CrmObject, campaign: str) -> Flow:
    """The ids of the contacts or leads that are members of a campaign."""
    field = MEMBERS.get(crm_object.name)
    if field is None:
        raise ConfigurationError(
            f"A Salesforce campaign has contacts and leads as members, no {crm_object.name}: take the list out of "
            "the filter."
        )
    if not (campaign.isascii() and campaign.isalnum() and len(campaign) in (15, 18)):
        raise ConfigurationError(
            f"{campaign!r} is no id of a Salesforce campaign: write the 15 or 18 characters that begin with 701."
        )
    found: set[str] = set()
    statement = f"SELECT Id, {field} FROM CampaignMember WHERE CampaignId = {text(campaign)} AND {field} != null"  # noqa: S608
    page: QueryPage = (yield Get(f"{root}/query", params={"q": statement})).decode(QueryPage)
    while True:
        for record in page.records:
            found.add(long_id(msgspec.json.decode(record)[field]))
        if page.done or page.next is None:
            return frozenset(found)
        page = (yield Get(page.next)).decode(QueryPage)
