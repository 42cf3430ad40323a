"""A document from the web: every hop checked, size, time and number of hops bounded.

Redirects are followed within a site only. One to another host is told to the caller, for whoever
allowed the first host did not allow the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urljoin

import anyio
from anyio import to_thread

from acp_agent.tools.browser.address import Address, BadAddress, parse_address
from acp_agent.tools.browser.charset import decoded
from acp_agent.tools.browser.exchange import ExchangeFailed, Response, exchange
from acp_agent.tools.browser.guard import (
    Admits,
    Forbidden,
    Resolver,
    checked_addresses,
    is_public,
    resolve,
)

LARGEST = 5 * 1024 * 1024
REDIRECTS = 5
SECONDS = 20.0
_TEASER = 4096  # bytes of an error's page that are read
_ACCEPT = "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.1"
_HTML = ("text/html", "application/xhtml+xml")
_REDIRECTING = (301, 302, 303, 307, 308)


class FetchFailed(Exception):
    """There is no document; the text says why, for the model."""


@dataclass(frozen=True, slots=True)
class Document:
    """What lies at `url`, after redirects; `kind` is html, json or text."""

    url: str
    kind: str
    text: str
    cut: bool = False


class Fetcher:
    """Fetches documents; `follows` tells of which hosts a redirect may lead to them unasked."""

    def __init__(
        self,
        *,
        admits: Admits = is_public,
        follows: Callable[[str], bool] = lambda _: False,
        resolver: Resolver = resolve,
        seconds: float = SECONDS,
        largest: int = LARGEST,
    ) -> None:
        self._admits = admits
        self._follows = follows
        self._resolver = resolver
        self._seconds = seconds
        self._largest = largest

    async def fetch(self, address: Address) -> Document:
        """Return the document. Raises FetchFailed."""
        try:
            with anyio.fail_after(self._seconds):
                return await self._follow(address)
        except TimeoutError:
            raise FetchFailed(f"it took longer than {self._seconds:g} seconds") from None
        except (Forbidden, ExchangeFailed, BadAddress) as error:
            raise FetchFailed(str(error)) from error
        except OSError as error:
            raise FetchFailed(f"cannot find the host ({error.strerror or error})") from error

    async def _follow(self, address: Address) -> Document:
        for _ in range(REDIRECTS + 1):
            found = await self._get(address)
            if isinstance(found, Document):
                return found
            if not _same_site(address, found) and not self._follows(found.netloc):
                raise FetchFailed(f"it redirects to another host; to go there, open {found.url}")
            address = found
        raise FetchFailed(f"more than {REDIRECTS} redirects")

    async def _get(self, address: Address) -> Document | Address:
        addresses = await checked_addresses(
            address.host, address.port, self._resolver, self._admits
        )
        async with exchange(address, addresses, headers={"accept": _ACCEPT}) as response:
            to = response.headers.get("location", "")
            if response.status in _REDIRECTING and to:
                return parse_address(_joined(address.url, to))
            if not 200 <= response.status < 300:
                raise FetchFailed(await _complaint(response))
            kind, charset = _content_type(response)
            data, cut = await response.read(self._largest)
        if kind not in ("html", "text", "json") and b"\0" in data[:1024] and charset == "":
            raise FetchFailed("the content is binary; only HTML, text, JSON and XML can be read")
        text = await to_thread.run_sync(lambda: decoded(data, charset, cut=cut))
        return Document(address.url, kind or _sniffed(text), text, cut)


def _same_site(one: Address, other: Address) -> bool:
    if one.scheme == "https" and other.scheme == "http":
        return False
    same_host = one.host.removeprefix("www.") == other.host.removeprefix("www.")
    usual = one.netloc == one.host and other.netloc == other.host
    return same_host and (usual or one.port == other.port)


def _joined(base: str, to: str) -> str:
    try:
        return urljoin(base, to)
    except ValueError as error:
        raise BadAddress(f"it redirects to what is no address ({error})") from None


def _content_type(response: Response) -> tuple[str, str]:
    """Return the kind of document, "" if that is not said, and its charset.

    Raises:
        FetchFailed: It is of no kind that can be read.

    """
    written = response.headers.get("content-type", "")
    if not written.strip():
        return "", ""
    name, charset = _declared(written)
    if ";" not in written and "/" not in written:
        return "", charset
    if name in _HTML:
        return "html", charset
    if name == "application/json" or name.endswith("+json"):
        return "json", charset
    if name.startswith("text/") or name == "application/xml" or name.endswith("+xml"):
        return "text", charset
    raise FetchFailed(
        f"the content is {written.partition(';')[0].strip()[:80]!r};"
        " only HTML, text, JSON and XML can be read"
    )


def _declared(written: str) -> tuple[str, str]:
    """Return the name and the charset in a content type."""
    message = Message()
    message["content-type"] = written
    try:
        return message.get_content_type(), message.get_content_charset() or ""
    except (
        ValueError,
        TypeError,
    ):  # parameters in pieces, some of them unnumbered or past counting
        return written.partition(";")[0].strip().lower(), ""


def _sniffed(text: str) -> str:
    start = text[:1024].lstrip().lower()
    return "html" if start.startswith(("<!doctype html", "<html", "<head", "<body")) else "text"


async def _complaint(response: Response) -> str:
    """Return an error's status, and the first words of its page if it is text."""
    status = f"HTTP {response.status} {response.reason}".strip()
    try:
        kind, charset = _content_type(response)
        data, _ = await response.read(_TEASER)
    except (FetchFailed, ExchangeFailed):
        return status
    if kind in ("text", "json"):
        words = " ".join(decoded(data, charset, cut=True).split())[:300]
        return f"{status}: {words}" if words else status
    return status
