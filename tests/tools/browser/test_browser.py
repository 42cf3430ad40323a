"""The browser through its tools: displays and errors to the letter, permissions, titles."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Event, Text
from acp_agent.fence import fenced
from acp_agent.tools.base import Permission, Prepared
from acp_agent.tools.browser.browser import Browser
from acp_agent.tools.browser.fetch import Fetcher
from acp_agent.tools.browser.guard import anything
from acp_agent.tools.browser.hosts import allowed_hosts
from acp_agent.tools.browser.make import make_browsing
from acp_agent.tools.browser.pages import KEPT, estimated_prefix
from acp_agent.tools.browser.tools import browser_tools
from acp_agent.tools.toolbox import Tools
from tests.tools.browser.site import open_site
from tests.tools.browser.web import PYTHON, Web

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parents[2] / "golden" / "browser_walk.txt"


@dataclass
class Stage:
    """The three tools in a toolbox; `say` does what a turn does with a call."""

    web: Web = field(default_factory=Web)
    allowed: str = ""

    def __post_init__(self) -> None:
        self.browser = Browser(self.web, self.web, prefix=estimated_prefix)
        self.tools = Tools(browser_tools(self.browser, allowed_hosts(self.allowed)))

    async def prepare(self, name: str, body: str | None = None, **arguments: object) -> Prepared:
        body = json.dumps(arguments) if body is None else body
        return await self.tools.prepare("call-1", name, body)

    async def say(self, name: str, body: str | None = None, **arguments: object) -> str:
        async def emit(event: Event) -> None:
            raise AssertionError(event)

        with anyio.fail_after(10):
            return (await (await self.prepare(f"browser.{name}", body, **arguments)).run(emit)).text

    async def refusal(self, name: str, body: str | None = None, **arguments: object) -> str:
        with pytest.raises(ToolFailed) as failure:
            await self.say(name, body, **arguments)
        return str(failure.value)


@pytest.fixture
def stage() -> Stage:
    return Stage()


WALK = (
    ("search", '{"query": "asyncio", "topn": 3}'),
    ("open", '{"id": 0}'),
    ("find", '{"pattern": "Needle"}'),
    ("open", '{"cursor": 1, "loc": 4, "num_lines": 3}'),
    ("open", '{"cursor": 2, "id": 0}'),
    ("find", '{"pattern": "zzz", "cursor": 1}'),
    ("find", '{"pattern": "title 1", "cursor": 0}'),
)


async def test_a_walk_through_the_web_is_shown_to_the_letter(stage: Stage) -> None:
    shown = [f">>> browser.{name} {body}\n{await stage.say(name, body)}\n" for name, body in WALK]
    text = "\n".join(shown)
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    assert stage.web.asked == ["asyncio:3", f"{PYTHON}0.html"]


async def test_errors_are_told_to_the_letter(stage: Stage) -> None:
    assert await stage.refusal("find", pattern="x") == "No pages to access!"
    assert await stage.refusal("open", id=3) == "No pages to access!"
    assert await stage.refusal("open", body="") == "No pages to access!"
    await stage.say("search", query="asyncio")
    await stage.say("open", id=0)
    await stage.say("find", pattern="needle")
    assert await stage.refusal("open", id=99, cursor=1) == "Invalid link id `99`."
    assert await stage.refusal("open", cursor=1, loc=999) == (
        "Invalid location parameter: `999`. Cannot exceed page maximum of 17."
    )
    out = "Cursor `42` is out of range. Available cursor indices: [0 - 2]."
    assert await stage.refusal("open", cursor=42) == out
    assert await stage.refusal("find", pattern="x", cursor=42) == out
    assert await stage.refusal("open", cursor=-2) == out.replace("42", "-2")
    assert await stage.refusal("find", pattern="x") == (
        "Cannot run `find` on search results page or find results page"
    )
    assert await stage.refusal("open", id=1, cursor=0) == (
        f"Error fetching URL `{PYTHON}1.html`: HTTP 404: nope"
    )
    assert await stage.refusal("search", query="fail") == (
        "Error during search for `fail`: no luck"
    )
    assert await stage.refusal("open", id="file:///etc/passwd") == (
        "Error fetching URL `file:///etc/passwd`: only http:// and https:// addresses can be"
        " opened, not file:"
    )
    assert len(await stage.refusal("open", id="http://a.org/" + "x" * 3000)) < 1200
    invalid = '{"error": "Invalid function arguments"}'
    for body in ("not json", "[1]", '"x"', "{", '{"query": "x"} more', "[" * 9999):
        assert await stage.refusal("search", body) == invalid
    assert await stage.refusal("click", "{}") == '{"error": "Unknown function: click"}'
    assert "[3] " in await stage.say("find", pattern="x", cursor=1)  # no error took a cursor


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("search", "{}", "wrong arguments for browser.search: 'query' is missing"),
        ("search", '{"query": "  "}', "the query is empty; say what to search for"),
        ("search", '{"query": 3}', "'query' should be a valid string"),
        ("find", '{"pattern": null}', "'pattern' is missing"),
        ("open", '{"id": 1.5}', "wrong arguments for browser.open"),
        ("open", '{"loc": "top"}', "'loc' should be a valid integer"),
        ("open", '{"id": "\\ud800"}', "hold an escape that is no character"),
    ],
)
async def test_a_wrong_argument_is_told(stage: Stage, name: str, body: str, words: str) -> None:
    assert words in await stage.refusal(name, body)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("search", '{"q": "asyncio"}'),
        ("search", '{"query": "asyncio", "topn": 10.0, "recency_days": 3, "source": "web"}'),
        ("search", '{"query": "asyncio", "top_n": 5, "source": null}'),
        ("open", f'{{"id": "{PYTHON}0.html", "lineno": 3, "source": "web"}}'),
        ("open", '{"id": "docs.python.org/3/library/0.html"}'),
        ("open", f'{{"url": "{PYTHON}0.html"}}'),
    ],
)
async def test_unknown_arguments_are_passed_over(stage: Stage, name: str, body: str) -> None:
    assert (await stage.say(name, body)).startswith("[0] ")


@pytest.mark.parametrize(
    "recipient",
    ["browser.search", "functions.browser.search", "browser_search", " Browser.Search",
     "browser.search<|channel|>commentary", "functions.browser_search"],
)  # fmt: skip
async def test_a_slip_in_the_name_still_finds_the_function(stage: Stage, recipient: str) -> None:
    assert stage.tools.announce(recipient) == ("browser.search", "search")
    assert (await stage.prepare(recipient, query="x")).title == "Search: x"


async def test_the_bare_namespace_is_answered_with_its_functions(stage: Stage) -> None:
    with pytest.raises(ToolFailed, match=r"call browser\.search, browser\.open, browser\.find"):
        await stage.prepare("browser", query="x")


async def test_what_goes_out_needs_leave_by_engine_and_host(stage: Stage) -> None:
    search = await stage.prepare("browser.search", query="a \x1b[1mb")
    assert (search.title, search.kind, search.permission) == (
        "Search: a b",
        "search",
        Permission("browser.search", "searches by Scripted", reads=True),
    )
    assert search.content == (Text("```\na b\n```"),)
    opened = await stage.prepare("browser.open", id="https://a.org:8443/x?y=%E2%80%AEz")
    assert (opened.title, opened.kind, opened.permission, opened.content) == (
        "Open a.org:8443/x?y=z",
        "fetch",
        Permission("browser.open", "a.org:8443", reads=True),
        (Text("https://a.org:8443/x?y=%E2%80%AEz"),),
    )
    assert stage.web.asked == []


async def test_the_user_sees_what_the_model_reads(stage: Stage) -> None:
    async def emit(event: Event) -> None:
        raise AssertionError(event)

    for name, body in WALK[:3]:
        prepared = await stage.prepare(f"browser.{name}", body)
        result = await prepared.run(emit)
        assert result.content == (*prepared.content, Text(fenced(result.text)))


async def test_what_is_open_already_needs_no_leave(stage: Stage) -> None:
    await stage.say("open", id=f"{PYTHON}0.html")
    for written in ("", " ", "-1", -1):
        again = await stage.prepare("browser.open", id=written)
        assert (again.title, again.permission) == ("Open Asyncio docs", None)
    scroll = await stage.prepare("browser.open", loc=3)
    find = await stage.prepare("browser.find", pattern="x")
    assert (scroll.title, scroll.permission) == ("Open Asyncio docs", None)
    assert (find.title, find.kind, find.permission) == ("Find x", "search", None)
    await stage.say("search", query="x")
    assert (await stage.prepare("browser.open", id=0)).permission is None
    again = await stage.prepare("browser.open", id=f"{PYTHON}0.html")
    assert again.permission == Permission("browser.open", "docs.python.org", reads=True)


async def test_an_allowed_host_needs_no_leave() -> None:
    stage = Stage(allowed="*.python.org")
    assert (await stage.prepare("browser.open", id=PYTHON)).permission is None
    assert (await stage.prepare("browser.open", id="https://python.org")).permission is not None


async def test_a_source_is_fetched_again_and_a_new_address_always(stage: Stage) -> None:
    await stage.say("open", id=f"{PYTHON}0.html")
    assert "L2: <title>Asyncio docs</title><h1>asyncio</h1>" in await stage.say(
        "open", view_source=True
    )
    assert "view-source:" in await stage.say("open", id=f"view-source:{PYTHON}0.html")
    await stage.say("open", id=f"{PYTHON}0.html")
    assert stage.web.asked == [f"{PYTHON}0.html"] * 4


async def test_a_window_is_filled_by_tokens_and_continues_at_a_line() -> None:
    stage = Stage(Web({"https://a.org/": "<p>" + "</p><p>".join(f"line {i}" for i in range(900))}))
    first = (await stage.say("open", id="a.org")).split("\n")
    assert first[1] == "**viewing lines [0 - 298] of 1800**"
    assert first[-1].startswith("L298: ")
    assert (await stage.say("open", loc=1790)).split("\n")[1] == (
        "**viewing lines [1790 - 1800] of 1800**"
    )
    many = (await stage.say("open", loc=0, num_lines=100_000)).split("\n")
    assert many[1] == "**viewing lines [0 - 399] of 1800**"


async def test_a_find_gives_at_most_fifty_places() -> None:
    stage = Stage(Web({"https://a.org/": "<p>x".join(["<p>"] * 999)}))
    await stage.say("open", id="https://a.org/")
    await stage.say("find", pattern="X")
    places = await stage.say("open", loc=0, num_lines=400)
    assert places.count("†match at L") == 50
    assert stage.browser.address(1) == "https://a.org/"


async def test_a_long_pattern_is_not_repeated_to_the_model(stage: Stage) -> None:
    await stage.say("open", id=f"{PYTHON}0.html")
    assert len(await stage.say("find", pattern="x" * 1_000_000)) < 1_000


async def test_pages_of_long_ago_are_let_go_and_their_addresses_kept() -> None:
    stage = Stage(Web({f"https://a.org/{i}": f"page {i}" for i in range(KEPT + 2)}))
    for number in range(KEPT + 2):
        await stage.say("open", id=f"https://a.org/{number}")
    assert await stage.refusal("open", cursor=0) == (
        "The page of cursor `0` is not kept any more. Open its URL."
    )
    assert "page 2" in await stage.say("open", cursor=2)
    assert stage.browser.address(0) == "https://a.org/0"


async def test_a_real_site_is_opened_clicked_and_searched() -> None:
    async with open_site() as site:
        site.put("/", "<title>Home</title><p>Go to <a href=/next>the next</a>.")
        site.put("/next", "one\r\ntwo", "text/plain")
        fetcher = Fetcher(admits=anything)
        browser = Browser(Web(), fetcher, prefix=estimated_prefix, admits=anything)
        stage = Stage()
        stage.tools = Tools(browser_tools(browser, allowed_hosts("")))
        assert (await stage.say("open", id=site.url)).split("\n")[-1] == (
            "L2: Go to 【0†the next】."
        )
        assert (await stage.say("open", id=0)).endswith("L2: one\nL3: two")
        assert (await stage.say("find", pattern="TWO")).endswith("L0: # 【0†match at L3】\nL1: two")
        assert await stage.refusal("open", id=f"{site.url}/none") == (
            f"Error fetching URL `{site.url}/none`: HTTP 404 Not Found"
        )


async def test_by_default_nothing_private_is_opened() -> None:
    async with open_site() as site:
        site.put("/", "secret")
        for private, words in ((False, "is a private address"), (True, "secret")):
            stage = Stage()
            stage.tools = Tools(make_browsing(allow_private=private, variables={}).tools)
            call = stage.say("open", id=site.url) if private else stage.refusal("open", id=site.url)
            assert words in await call
        assert len(site.asked) == 1


@pytest.mark.parametrize(
    "host",
    "127.0.0.1 127.0.0.1. 2130706433 0x7f.1 127.1 10.0.0.8:8080 169.254.169.254 [::1] [fd12::1]"
    " [::ffff:127.0.0.1] localhost LOCALHOST:631 app.localhost".split(),
)
async def test_a_private_address_is_refused_before_the_user_is_asked(
    stage: Stage, host: str
) -> None:
    name = host.lower().partition(":8080")[0].partition(":631")[0].strip("[]")
    for url in (f"http://{host}/x", f"view-source:http://{host}/x"):
        with pytest.raises(ToolFailed, match=re.escape(f"{name} is a private address")):
            await stage.prepare("browser.open", id=url)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "10.example.org", "localhost.org"]
)
async def test_the_user_is_asked_about_what_may_lie_on_the_internet(
    stage: Stage, host: str
) -> None:
    prepared = await stage.prepare("browser.open", id=f"http://{host}/x")
    assert prepared.permission == Permission("browser.open", host, reads=True)


async def test_a_link_to_a_private_address_is_refused_before_the_user_is_asked() -> None:
    async with open_site() as site:
        site.put("/", "<a href='http://192.168.0.1/admin'>here</a>")
        stage = Stage()
        browser = Browser(
            Web(),
            Fetcher(admits=anything),
            prefix=estimated_prefix,
            admits=["127.0.0.1"].__contains__,
        )
        stage.tools = Tools(browser_tools(browser, allowed_hosts("*")))
        await stage.say("open", id=site.url)
        with pytest.raises(ToolFailed, match="is a private address"):
            await stage.prepare("browser.open", id=0)
