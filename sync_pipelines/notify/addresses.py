"""Which addresses may be sent to: public ones, unless the settings say otherwise.

A URL is looked at when it is saved. What counts is the look when it is used: the connection goes to the very address
that was looked at, so that a name which resolves to another one a moment later gains nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.settings import Settings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL: Final = 2_000
_LONGEST_HOST: Final = 253
_HOST: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
"""Names as they are looked up, and IPv4 addresses; httpx has looked at IPv6 addresses."""

_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # one cloud's metadata service is in it, and Python 3.11 takes most of it for public
        "168.63.129.16/32",  # another cloud's, at an address that looks public
        "192.88.99.0/24",
        "64:ff9b::/96",  # translates to IPv4 addresses of any kind
        "64:ff9b:1::/48",
        "fec0::/10",
    )
)


@dataclass(frozen=True)
class Terms:
    """`private`: addresses that are not public are fine. `plain`: http is fine as well as https."""

    private: bool = False
    plain: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        return cls(
            private=settings.webhooks_to_private_addresses,
            plain=settings.environment == "development" or settings.webhooks_to_private_addresses,
        )


class RefusedAddress(ConfigurationError):
    """Nothing is sent there."""


def check_url(written: str, terms: Terms) -> httpx.URL:
    """The URL, if something may be sent there as far as one can see now. RefusedAddress with the reason if not.

    A name that does not resolve at the moment is taken: it is looked at again with every sending.
    """
    url = parsed(written, terms)
    try:
        resolved(url.host, url.port or _PORTS[url.scheme], terms)
    except OSError:
        return url
    return url


def parsed(written: str, terms: Terms) -> httpx.URL:
    """RefusedAddress for what is no URL that can be sent to."""
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, TypeError, UnicodeError) as problem:
        raise RefusedAddress("This is no URL: write it as https://host/path.") from problem
    if len(written) > LONGEST_URL:
        raise RefusedAddress(f"The URL is longer than {LONGEST_URL:,} characters.")
    if url.scheme not in _PORTS or not url.host:
        raise RefusedAddress("This is no URL that can be sent to: write it as https://host/path.")
    if url.scheme == "http" and not terms.plain:
        raise RefusedAddress("The URL must begin with https://.")
    if url.userinfo or url.fragment:
        raise RefusedAddress("The URL must hold neither a user nor a fragment (#).")
    if url.port is not None and not 0 < url.port < 65_536:
        raise RefusedAddress(f"There is no port {url.port}: leave it out, or write one from 1 to 65535.")
    host = url.raw_host.decode("ascii")
    if len(host) > _LONGEST_HOST or not ((":" in host and "%" not in host) or _HOST.fullmatch(host)):
        raise RefusedAddress("The host of the URL can be no name and no address of the internet.")
    return url


def resolved(host: str, port: int, terms: Terms) -> Sequence[str]:
    """The host's addresses, in the order to try them. RefusedAddress if any is not public; OSError without any."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not terms.private:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise RefusedAddress(
                    f"{host} is at an address that is not public. Only public ones are sent to, unless "
                    "SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES is set."
                )
    return addresses


def is_public(address: Address) -> bool:
    """Whether it is one of the internet, and none that stands for another kind."""
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if within is not None and not is_public(within):
            return False
        if address.ipv4_mapped is not None:
            return True
    if address.is_multicast or not address.is_global:
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


_PORTS: Final = {"https": 443, "http": 80}
