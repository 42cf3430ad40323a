"""Which machines may be talked to: by the address that a name resolves to, never by the name.

Resolution is ours, and the connection goes to an address that was checked here; a name that
resolves otherwise a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import anyio

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to IP addresses. Raises OSError."""

Admits = Callable[[str], bool]
"""Tells whether an IP address may be connected to."""

_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
# Addresses that carry others in ways of their own, or that no site on the internet has.
_ODD = (
    IPv6Network("::/8"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("100::/64"),
    IPv6Network("2001::/32"),
    IPv6Network("fec0::/10"),
)


class Forbidden(Exception):
    """The host is on this machine or in its own network."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of `host`. Raises OSError."""
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        raise OSError(f"{host[:80]!r} is no host name") from None
    return [str(entry[4][0]) for entry in found]


def check_literal(host: str, admits: Admits) -> None:
    """Refuse what is an address in itself, in any spelling, before anybody is asked about it.

    Raises:
        Forbidden: `admits` does not take it.

    """
    address = _literal(host.rstrip("."))
    if address and not admits(address):
        raise _forbidden(host, host)


async def checked_addresses(
    host: str, port: int, resolver: Resolver, admits: Admits
) -> Sequence[str]:
    """Return the addresses of `host`, all of which `admits` takes.

    Raises:
        Forbidden: One of them is not on the internet. One is enough: a name that has both kinds is
            there to be tried until the other one answers.
        OSError: There are none.

    """
    addresses = list(dict.fromkeys(await resolver(host, port)))
    if not addresses:
        raise OSError("no address")
    private = [address for address in addresses if not admits(address)]
    if private:
        raise _forbidden(host, private[0])
    return addresses


def is_public(address: str) -> bool:
    """Tell whether an IP address is one on the internet, and not of this machine or network."""
    try:
        ip = ip_address(address)
    except ValueError:  # a zone, or no address at all
        return False
    if isinstance(ip, IPv4Address):
        return _is_global(ip)
    if ip in _NAT64:
        return _is_global(IPv4Address(int(ip) & 0xFFFFFFFF))
    if ip in _SIX_TO_FOUR:
        return _is_global(IPv4Address(int(ip) >> 80 & 0xFFFFFFFF))
    return not any(ip in network for network in _ODD) and _is_global(ip)


def anything(address: str) -> bool:
    """Admit every address: what the user named, or all where they allow private networks."""
    return True


def _forbidden(host: str, address: str) -> Forbidden:
    where = f"{host} is" if address == host else f"{host} resolves to {address},"
    return Forbidden(
        f"{where} a private address; private networks cannot be opened"
        " (the user can allow them: browser_allow_private)"
    )


def _literal(host: str) -> str:
    """Return the IP address that `host` stands for without a name server, "" if for none."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
        return "127.0.0.1"
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # also 127.1, 0x7f000001, 2130706433
    except OSError:
        return ""


def _is_global(ip: IPv4Address | IPv6Address) -> bool:
    # is_global counts multicast in, and what it counts out differs between versions of Python.
    return ip.is_global and not (
        ip.is_private
        or ip.is_loopback
        or ip.is_link_local
        or ip.is_multicast
        or ip.is_reserved
        or ip.is_unspecified
    )
