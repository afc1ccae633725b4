"""Salesforce: who is a member of a campaign, of the lists that the account was given."""

from sync_pipelines.sandbox import soql
from sync_pipelines.sandbox.exchange import Answer, Call, as_json
from sync_pipelines.sandbox.ids import checksum

_PEOPLE = {"ContactId": "003", "LeadId": "00Q"}


def members(call: Call, text: str) -> Answer | None:
    """The answer to a query of CampaignMember by its campaign; None for any other query."""
    try:
        query = soql.read(text)
    except soql.SoqlError:
        return None
    wanted = [part.value for part in _comparisons(query.where) if part.field == "CampaignId" and part.operator == "="]
    if query.object != "CampaignMember" or len(wanted) != 1:
        return None
    campaign = str(wanted[0])
    found = call.own.lists.get(campaign + checksum(campaign) if len(campaign) == 15 else campaign, [])
    url = f"/services/data/v{call.parts['version']}/sobjects/CampaignMember/"
    records = []
    for place, person in enumerate(found):
        id = f"00v{call.own.id[3:5]}{place:010d}"
        id += checksum(id)
        values = {"Id": id} | {name: person if person.startswith(begin) else None for name, begin in _PEOPLE.items()}
        if all(values[part.field] is not None for part in _comparisons(query.where) if part.field in _PEOPLE):
            asked = {name: values[name] for name in query.fields}
            records.append({"attributes": {"type": "CampaignMember", "url": url + id}} | asked)
    return as_json({"totalSize": len(records), "done": True, "records": records})


def _comparisons(condition: soql.Condition | None) -> list[soql.Compare]:
    parts = condition.conditions if isinstance(condition, soql.Both) else (condition,)
    return [part for part in parts if isinstance(part, soql.Compare)]
