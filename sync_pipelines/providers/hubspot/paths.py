"""Where HubSpot's APIs live in each of its two path families."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from sync_pipelines.model.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Templates; {type} is an object's name, {to} the name of an associated one."""

    records: str
    associations: str
    properties: str
    pipelines: str
    owners: str
    account: str
    oauth: str
    revoke: str
    lists: str

    def of(self, template: str, name: str, to: str = "") -> str:
        return template.format(type=quote(name, safe=""), to=quote(to, safe=""))


VERSIONS: Final = {
    "v3": Paths(
        records="/crm/v3/objects/{type}",
        associations="/crm/v4/associations/{type}/{to}/batch/read",
        properties="/crm/v3/properties/{type}",
        pipelines="/crm/v3/pipelines/{type}",
        owners="/crm/v3/owners",
        account="/account-info/v3/details",
        oauth="/oauth/v1/token",
        # The older way has the token in the URL, where logs keep it.
        revoke="/oauth/v3/token/revoke",
        lists="/crm/v3/lists",
    ),
    "2026-03": Paths(
        records="/crm/objects/2026-03/{type}",
        associations="/crm/associations/2026-03/{type}/{to}/batch/read",
        properties="/crm/properties/2026-03/{type}",
        pipelines="/crm/pipelines/2026-03/{type}",
        owners="/crm/owners/2026-03",
        account="/account-info/2026-03/details",
        oauth="/oauth/2026-03/token",
        revoke="/oauth/2026-03/token/revoke",
        lists="/crm/lists/2026-03",
    ),
}


def paths_of(version: str) -> Paths:
    """The templates of a version. ConfigurationError names the known ones."""
    if version not in VERSIONS:
        raise ConfigurationError(
            f"HubSpot has no API version {version!r} that we know: choose one of {', '.join(VERSIONS)}."
        )
    return VERSIONS[version]
