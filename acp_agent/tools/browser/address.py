"""The address of a page: read once, by us, so that what is checked is what is connected to.

Pure. Only http and https; no user names, which are there to make a host look like another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

VIEW_SOURCE = "view-source:"
PORTS = {"http": 80, "https": 443}
LONGEST = 8_000

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\.?", re.ASCII)
_IPV6 = re.compile(r"[0-9a-f:.]+", re.ASCII)
_KEPT = "/:@!$&'()*+,;=~%?-._"  # characters of a path or query that stay as they are


class BadAddress(ValueError):
    """The text is no address that can be opened; says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """`host` in lower case and ASCII, without brackets; `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """Host and, unless it is the usual one, port: what a permission covers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def parse_address(url: str) -> Address:
    """Return `url`, its fragment left out. Raises BadAddress."""
    text = "".join(c for c in url.strip() if c >= " " and c != "\x7f")
    if len(text) > LONGEST:
        raise BadAddress(f"the address is longer than {LONGEST} characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"not an address ({error})") from None
    if parts.scheme not in PORTS:
        kind = f"{parts.scheme}:" if parts.scheme else "one without a scheme"
        raise BadAddress(f"only http:// and https:// addresses can be opened, not {kind}")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("an address with a user name or password cannot be opened")
    path = quote(parts.path, safe=_KEPT) or "/"
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return Address(
        parts.scheme, _host(parts.hostname or ""), port or PORTS[parts.scheme], path + query
    )


def host_of(url: str) -> str:
    """Return host and port of an address as it is shown, "" for what has none."""
    try:
        return urlsplit(url.removeprefix(VIEW_SOURCE)).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _host(name: str) -> str:
    if ":" in name:
        if not _IPV6.fullmatch(name):  # a zone (`%eth0`) names an interface of this machine
            raise BadAddress(f"not a host: {name!r}")
        return name
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadAddress(f"not a host: {name!r}") from None
    host = ascii_name.lower()
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise BadAddress(f"not a host: {name!r}")
    return host
