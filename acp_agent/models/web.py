"""The bytes of one file over HTTP from some byte on, wherever redirects lead; httpx does it.

Proxies of the environment are used for all hosts but this machine. A secret goes to the host that
was asked and to none that it names. What went wrong comes as Interrupted, which is worth another
try, or as InstallFailed. Messages name hosts, never whole addresses, for those can be signed.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache

import anyio
import anyio.to_thread
import httpx

from acp_agent import __version__
from acp_agent.errors import AgentError
from acp_agent.models.base import InstallFailed, Interrupted

CONNECT_SECONDS = 15.0
SILENT_SECONDS = 30.0
HOPS = 8
NUMBER = re.compile("[0-9]{1,18}")  # `str.isdigit` takes more for a number than `int` does
REDIRECTS = (301, 302, 303, 307, 308)
PASSING = (408, 425, 429)  # and what is 500 or more
HERE = ("all://localhost", "all://127.0.0.1", "all://[::1]")
# A file that was packed on the way has no bytes to go on from.
HEADERS = {"accept-encoding": "identity", "user-agent": f"acp-agent/{__version__}"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes `start` to `size` of what is at `url`, called `name` in messages.

    `secret` headers are for the host of `url` alone. `tag` is the strong ETag that the file must
    still have, "" if any will do.
    """

    url: str
    name: str
    size: int
    start: int = 0
    secret: Mapping[str, str] = field(default_factory=dict[str, str])
    tag: str = ""


Explain = Callable[[httpx.Response], AgentError]


@asynccontextmanager
async def reading(
    wanted: Wanted, explain: Explain, *, silent: float = SILENT_SECONDS
) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Open the bytes; `explain` says what a refusal means. Raises Interrupted, InstallFailed."""
    own = {"range": f"bytes={wanted.start}-"} if wanted.start else {}
    if wanted.start and wanted.tag:
        own["if-range"] = wanted.tag
    async with answer(wanted.url, wanted.secret, own, silent=silent) as response:
        skip = _skipped(response, wanted, explain)
        async with aclosing(_body(response, wanted, skip, silent)) as body:
            yield body


@asynccontextmanager
async def answer(
    url: str,
    secret: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    silent: float = SILENT_SECONDS,
) -> AsyncGenerator[httpx.Response]:
    """Give the head of the last answer; leaving the block closes the connection.

    Raises:
        Interrupted: There is none.
        InstallFailed: There cannot be one.

    """
    tls = await anyio.to_thread.run_sync(_tls)
    client = httpx.AsyncClient(
        verify=tls,
        mounts=dict.fromkeys(HERE),
        timeout=httpx.Timeout(silent, connect=CONNECT_SECONDS),
    )
    try:
        yield await _followed(client, url, secret, {**HEADERS, **headers}, silent)
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


async def _followed(
    client: httpx.AsyncClient,
    url: str,
    secret: Mapping[str, str],
    headers: Mapping[str, str],
    silent: float,
) -> httpx.Response:
    first = at = _address(url)
    for _ in range(HOPS):
        own = {**headers, **secret} if _same_origin(at, first) else headers
        response = await _send(client, at, own, silent)
        if response.status_code not in REDIRECTS or "location" not in response.headers:
            return response
        await response.aclose()
        after = _address(response.headers["location"], at)
        if at.scheme == "https" and after.scheme != "https":
            raise InstallFailed(
                f"{at.host} sends on to {after.host} without encryption; look at your network and"
                " proxies, or use another source"
            )
        at = after
    raise InstallFailed(f"{first.host} sends on more than {HOPS} times; use another source")


async def _send(
    client: httpx.AsyncClient, url: httpx.URL, headers: Mapping[str, str], silent: float
) -> httpx.Response:
    try:
        return await client.send(client.build_request("GET", url, headers=headers), stream=True)
    except httpx.TransportError as error:
        raise _broken(error, url.host, silent) from error


def _address(text: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        url = base.join(text) if base else httpx.URL(text)
    except httpx.InvalidURL as error:
        raise InstallFailed(f"{text!r} is no address: {error}; mend it") from None
    if url.scheme in ("http", "https") and url.host:
        return url
    if base:
        raise InstallFailed(f"{base.host} sends on to {url.scheme}://; use another source")
    raise InstallFailed(f"{text!r} is no address on the web; it must begin with https://")


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _skipped(response: httpx.Response, wanted: Wanted, explain: Explain) -> int:
    """Return how many bytes come before those that are wanted, after checking what comes."""
    status, host = response.status_code, response.url.host
    changed = f"{wanted.name} at {host} is another file now; install again"
    if status == 416:
        raise InstallFailed(f"{changed} (it ends before byte {wanted.start})")
    if status not in (200, 206):
        raise explain(response)
    packed = response.headers.get("content-encoding", "identity")
    if packed != "identity":
        raise InstallFailed(
            f"{host} sends {wanted.name} packed ({packed}), though it was asked not to; a proxy may"
            " do that, try another network or another source"
        )
    tag = response.headers.get("etag", wanted.tag)
    if wanted.tag and tag != wanted.tag:
        raise InstallFailed(changed)
    begins, size = _span(response)
    if size not in (None, wanted.size):
        raise InstallFailed(f"{changed} (it has {size} bytes instead of {wanted.size})")
    if begins > wanted.start:
        raise Interrupted(f"{host} sent bytes from {begins} on instead of {wanted.start}")
    return wanted.start - begins


def _span(response: httpx.Response) -> tuple[int, int | None]:
    """Return at which byte the answer begins, and how large the whole is if that is said."""
    length = response.headers.get("content-length", "")
    if response.status_code == 200:
        return 0, int(length) if NUMBER.fullmatch(length) else None
    said = response.headers.get("content-range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said.strip())
    if not found:
        raise Interrupted(f"{response.url.host} sent a part and did not say which ({said!r})")
    begins, size = found.groups()
    return int(begins), None if size == "*" else int(size)


async def _body(
    response: httpx.Response, wanted: Wanted, skip: int, silent: float
) -> AsyncGenerator[bytes]:
    left = wanted.size - wanted.start + skip
    try:
        async for piece in response.aiter_raw():
            left -= len(piece)
            if skip:
                skip, piece = max(0, skip - len(piece)), piece[skip:]
            if piece:
                yield piece
    except httpx.TransportError as error:
        raise _broken(error, response.url.host, silent) from error
    if left > 0:
        raise Interrupted(f"{response.url.host} ended {left} bytes early")


def _broken(error: httpx.TransportError, host: str, silent: float) -> AgentError:
    """Return what a failure below HTTP means."""
    words = " ".join(str(error).split())
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return InstallFailed(
            f"the certificate of {host} is not trusted; if a proxy of yours signs it, name its"
            " certificate in SSL_CERT_FILE"
        )
    match error:
        case httpx.ProxyError():
            return Interrupted(
                f"the proxy gives no way to {host} ({words}); look at HTTPS_PROXY and NO_PROXY"
            )
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Interrupted(f"cannot reach {host} ({words or 'no answer'})")
        case httpx.TimeoutException():
            return Interrupted(f"{host} sent nothing for {silent:g} s")
        case _:
            return Interrupted(f"the connection to {host} broke")


def refused(response: httpx.Response, name: str) -> AgentError:
    """Return what a status that is no success means, as far as any server means the same."""
    status, host = response.status_code, response.url.host
    if status in PASSING or status >= 500:
        return busy(status, host, response.headers)
    if status in (401, 403, 407):
        return InstallFailed(f"{host} does not let {name} be fetched ({status}); look at its terms")
    if status in (404, 410):
        return InstallFailed(f"{host} has no {name} ({status}); look at the address")
    return InstallFailed(f"{host} answers {status} when asked for {name}; use another source")


def busy(status: int, host: str, headers: Mapping[str, str]) -> Interrupted:
    """Return what a status means that passes."""
    why = "has had too many requests" if status == 429 else f"cannot answer now ({status})"
    return Interrupted(f"{host} {why}", wait_asked(headers))


def wait_asked(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a server asks to wait: `retry-after`, or the Hub's `ratelimit`."""
    said = headers.get("retry-after", "").strip()
    if NUMBER.fullmatch(said):
        return float(said)
    limit = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("ratelimit", ""))
    if limit:
        return float(limit[1])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now())
    except ValueError:
        return None


@cache
def _tls() -> ssl.SSLContext:
    # Both the certificates that come with httpx and those of this machine, where those of a
    # company's proxy are: Python on a Mac may see none of its own.
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context
