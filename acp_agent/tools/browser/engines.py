"""The search engines: SearXNG, You.com and Exa by HTTP, others through the package `ddgs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import anyio
from anyio import to_thread

from acp_agent.tools.browser.address import BadAddress, host_of, parse_address
from acp_agent.tools.browser.guard import Resolver, anything, checked_addresses, resolve
from acp_agent.tools.browser.search import Result, SearchEngine, SearchFailed

SECONDS = 20.0
LARGEST = 4 * 1024 * 1024
YOU = "https://ydc-index.io/v1/search"
EXA = "https://api.exa.ai/search"

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A request to an engine: a POST where there is a `body`."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class HttpEngine:
    """An engine with an HTTP interface: how to ask it, and what its answer says.

    Its address is the user's setting or a constant of ours, so it may be on a private network.
    `refusals` says what an HTTP status means.
    """

    name: str
    ask: Callable[[str, int], Query]
    read: Callable[[JsonObject], list[Result]]
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])
    resolver: Resolver = resolve
    seconds: float = SECONDS

    async def search(self, query: str, count: int) -> Sequence[Result]:
        """Return at most `count` results. Raises SearchFailed."""
        data = await self._answer(self.ask(query, count))
        try:
            return self.read(cast("JsonObject", json.loads(data)))[:count]
        except (ValueError, RecursionError):
            raise SearchFailed(f"{self.name} did not answer in JSON") from None
        except (KeyError, TypeError, AttributeError):
            raise SearchFailed(f"{self.name} answered in an unknown form") from None

    async def _answer(self, query: Query) -> bytes:
        from acp_agent.tools.browser.exchange import ExchangeFailed  # with httpx: 50 ms

        try:
            with anyio.fail_after(self.seconds):
                return await self._exchange(query)
        except TimeoutError:
            raise SearchFailed(f"{self.name} took longer than {self.seconds:g} seconds") from None
        except (ExchangeFailed, BadAddress) as error:
            raise SearchFailed(f"{self.name}: {error}") from error
        except UnicodeError:
            raise SearchFailed(f"the key of {self.name} holds characters no key has") from None
        except OSError as error:
            raise SearchFailed(f"cannot find {self.name} ({error.strerror or error})") from error

    async def _exchange(self, query: Query) -> bytes:
        from acp_agent.tools.browser.exchange import exchange

        address = parse_address(query.url)
        addresses = await checked_addresses(address.host, address.port, self.resolver, anything)
        body = None if query.body is None else json.dumps(query.body).encode()
        kind = {} if body is None else {"content-type": "application/json"}
        headers = {"accept": "application/json", **kind, **query.headers}
        async with exchange(address, addresses, headers=headers, body=body) as response:
            if response.status != 200:
                refusal = self.refusals.get(response.status, f"HTTP {response.status}")
                raise SearchFailed(f"{self.name} answered: {refusal}")
            data, _ = await response.read(LARGEST)
            return data


@dataclass(frozen=True, slots=True)
class Ddgs:
    """Public search engines, read like a browser would by `ddgs`; they may limit the rate."""

    ask: Callable[[str, int], Sequence[JsonObject]] = field(default_factory=lambda: _ask_ddgs)
    name: str = "public search engines"

    async def search(self, query: str, count: int) -> Sequence[Result]:
        """Return at most `count` results. Raises SearchFailed."""
        # Abandoned on cancel: the thread's own time limits end it.
        hits = await to_thread.run_sync(self.ask, query, count, abandon_on_cancel=True)
        return _results([hit for hit in hits[:count] if hit.get("href")], "href", "body")


def search_engine(searxng_url: str, variables: Mapping[str, str]) -> SearchEngine:
    """Return the engine to search with: the user's instance, one they have a key of, or `ddgs`."""
    if searxng_url:
        return searxng(searxng_url)
    if key := variables.get("YDC_API_KEY"):
        return you(key)
    if key := variables.get("EXA_API_KEY"):
        return exa(key)
    return Ddgs()


def searxng(url: str) -> HttpEngine:
    """Return a SearXNG instance (docs.searxng.org, Search API)."""
    base = url.rstrip("/")

    def ask(query: str, count: int) -> Query:
        return Query(f"{base}/search?{urlencode({'q': query, 'format': 'json'})}")

    def read(answer: JsonObject) -> list[Result]:
        return _results(answer["results"], "url", "content")

    closed = "no JSON; add json to search.formats in its settings"
    return HttpEngine(f"SearXNG at {host_of(url)}", ask, read, {403: closed})


def you(key: str, url: str = YOU) -> HttpEngine:
    """Return You.com's web search."""

    def ask(query: str, count: int) -> Query:
        return Query(url, {"x-api-key": key}, {"query": query, "count": count})

    def read(answer: JsonObject) -> list[Result]:
        kinds: JsonObject = answer["results"]
        hits = [*(kinds.get("web") or ()), *(kinds.get("news") or ())]
        return _results(hits, "url", "snippets", "description")

    return HttpEngine("You.com", ask, read, _bad_key("YDC_API_KEY"))


def exa(key: str, url: str = EXA) -> HttpEngine:
    """Return Exa's search, with its summaries."""

    def ask(query: str, count: int) -> Query:
        body = {"query": query, "numResults": count, "contents": {"summary": True}}
        return Query(url, {"x-api-key": key}, body)

    def read(answer: JsonObject) -> list[Result]:
        return _results(answer["results"], "url", "summary", "text")

    return HttpEngine("Exa", ask, read, _bad_key("EXA_API_KEY"))


def _bad_key(variable: str) -> Mapping[int, str]:
    return dict.fromkeys((401, 403), f"the key is not accepted; see {variable}")


def _ask_ddgs(query: str, count: int) -> Sequence[JsonObject]:
    # With its HTTP client; only this engine needs it. It has no types.
    from ddgs import DDGS  # pyright: ignore[reportUnknownVariableType]
    from ddgs.exceptions import DDGSException

    try:
        return cast("Sequence[JsonObject]", DDGS(timeout=10).text(query, max_results=count))
    except DDGSException as error:
        if "no results" in str(error).lower():
            return []
        raise SearchFailed(f"the search engines did not answer ({error})") from error


def _results(hits: Sequence[object], url: str, *summaries: str) -> list[Result]:
    """Return the hits that have an address. Raises KeyError if there are others only."""
    found = [cast("JsonObject", hit) for hit in hits if isinstance(hit, dict)]
    results = [_result(hit, url, *summaries) for hit in found if isinstance(hit.get(url), str)]
    if hits and not results:
        raise KeyError(url)
    return results


def _result(hit: JsonObject, url: str, *summaries: str) -> Result:
    texts = (hit.get(name) for name in summaries)
    summary = next((text for text in texts if text), "")
    if isinstance(summary, list):
        summary = " ".join(map(str, cast("list[object]", summary)))
    return Result(hit[url], str(hit.get("title") or ""), str(summary))
