"""Where a provider or a destination that is made by API may be: a caller of the API is not who runs this server.

In closed networks, whose callers are trusted, SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES lifts all of it.
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

from sync_pipelines.config.configuration import (
    AnyDestinationConfig,
    DestinationConfig,
    ProviderConfig,
    S3DestinationConfig,
)
from sync_pipelines.notify.addresses import RefusedAddress, Terms, check_url, resolved

_UNLESS: Final = "unless SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES is set"
_FILES_OF_IDENTITY: Final = ("sslcert", "sslkey")


def refused_places(made: ProviderConfig | AnyDestinationConfig, terms: Terms) -> Iterator[tuple[str, str]]:
    """(field, why) for each place that is refused. Names are looked up; one that is not known now is taken."""
    if isinstance(made, ProviderConfig):
        yield from _refused_urls({"login_url": made.login_url, "api_url": made.api_url}, terms)
    elif isinstance(made, S3DestinationConfig):
        yield from _refused_urls({"credentials.endpoint_url": made.endpoint_url}, terms)
        if not terms.private:
            yield from _of_this_server_in_files(made)
    elif not terms.private:
        yield from _of_this_server(made)


def _refused_urls(urls: dict[str, str | None], terms: Terms) -> Iterator[tuple[str, str]]:
    for field, url in urls.items():
        try:
            if url is not None:
                check_url(url, terms)
        except RefusedAddress as problem:
            yield field, str(problem)


def _of_this_server_in_files(made: S3DestinationConfig) -> Iterator[tuple[str, str]]:
    if made.folder:
        yield "folder", f"is a folder of this server: what is made by API writes to none, {_UNLESS}"
    elif made.access_key_id is None:
        yield "credentials.access_key_id", f"is missing: what is made by API has no rights of this server's, {_UNLESS}"


def _of_this_server(made: DestinationConfig) -> Iterator[tuple[str, str]]:
    """Sockets, its own addresses, and what it would log in with by itself."""
    if made.host.startswith(("/", "@")) or "," in made.host:
        yield "credentials.host", f"must be the name or address of one host, {_UNLESS}"
    elif any(_is_its_own(address) for address in _addresses(made)):
        yield "credentials.host", f"is this server itself, or of its network alone: refused {_UNLESS}"
    if not made.password.reveal():
        yield "credentials.password", f"is missing: what is made by API has no rights of this server's, {_UNLESS}"
    for name in _FILES_OF_IDENTITY:
        if name in made.connection_parameters:
            yield f"connection_parameters.{name}", f"is a file of this server: refused {_UNLESS}"


def _addresses(made: DestinationConfig) -> list[str]:
    """None where the name is not known, or has another's id in it."""
    try:
        return list(resolved(made.host, made.port, Terms(private=True)))
    except (OSError, UnicodeError):
        return []


def _is_its_own(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    own = mapped or found
    return own.is_loopback or own.is_link_local or own.is_unspecified
