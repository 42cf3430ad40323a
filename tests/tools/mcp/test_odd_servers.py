"""Servers that work, in their own way: odd lists, news without end, secrets in their words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from acp_agent.events import Text
from acp_agent.servers import StdioServer
from acp_agent.tools.mcp.server import TimeLimits
from tests.e2e.processes import until
from tests.tools.mcp.conftest import HERE, SECRET, open_bench

pytestmark = pytest.mark.anyio

ODD = str(HERE / "odd_server.py")
SCHEMA: dict[str, object] = {"type": "object"}
TOOL = {"name": "work", "inputSchema": SCHEMA}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def odd(how: str, log: Path, *tools: object) -> StdioServer:
    args = (ODD, how, json.dumps(tools or [TOOL]), str(log))
    return StdioServer("odd", sys.executable, args, (("KEY", SECRET),))


ODD_TOOLS: list[dict[str, object]] = [
    {"name": "a"},
    {"name": "a", "inputSchema": dict[str, object]()},
    {"name": "a", "inputSchema": {"type": "objekt", "properties": 7, "required": "x"}},
    {"name": "a", "inputSchema": {"type": "object", "properties": {"b": 7}, "required": [1]}},
    {"name": "a", "inputSchema": SCHEMA, "outputSchema": "x", "icons": 7, "_meta": 7},
    {"name": "a", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": "maybe"}},
    {"name": "a", "inputSchema": SCHEMA, "title": 7, "description": ["x"]},
]


@pytest.mark.parametrize("tool", ODD_TOOLS)
async def test_a_tool_with_an_odd_field_costs_no_other(tool: object, log: Path) -> None:
    async with open_bench(odd("", log, tool, TOOL)) as bench:
        assert (bench.notes, bench.names()) == ([], ["odd__a", "odd__work"])
        assert [await bench.text(name) for name in bench.names()] == ["done", "done"]


async def test_a_server_with_news_without_end_is_not_asked_without_end(log: Path) -> None:
    async with open_bench(odd("storm", log)) as bench:
        await until(lambda: log.read_text().count("tools/list") == 2, seconds=10)
        for _ in range(20):
            assert await bench.text("odd__work") == "done"
        assert log.read_text().count("tools/list") < 10


async def test_no_key_is_in_what_a_server_says_of_its_failures(log: Path) -> None:
    async with open_bench(odd("refuse", log)) as bench:
        assert await bench.refusal("odd__work") == "work: no such key: …"
    async with open_bench(odd("list-once", log)) as bench:
        await until(lambda: bool(bench.notes), seconds=10)
        assert bench.notes == ["mcp server 'odd' does not list its tools: no such key: …"]
        assert await bench.text("odd__work") == "done"


async def test_an_image_too_large_for_an_editor_is_not_said_to_be_seen(log: Path) -> None:
    async with open_bench(odd("image", log)) as bench:
        result = await bench.call("odd__work")
        words = "[an image that cannot be shown: image/png]"
        assert (result.text, result.content) == (words, (Text(words),))


async def test_a_server_that_asks_back_hears_that_nothing_is_offered(log: Path) -> None:
    async with open_bench(odd("ask", log)) as bench:
        assert await bench.text("odd__work") == (
            "Sampling not supported; List roots not supported; Elicitation not supported;"
            " Method not found"
        )


async def test_a_name_that_is_no_word_is_plain_in_every_message(log: Path) -> None:
    tool = {"name": "a\x1b[31m\u202e\nb" + "c" * 100, "inputSchema": SCHEMA}
    async with open_bench(odd("refuse", log, tool)) as bench:
        [name] = bench.names()
        assert name.startswith("odd__a_31m_bccc") and len(name) == 64
        words = await bench.refusal(name)
        assert words.startswith("a� bccc") and words.isprintable()
        assert (await bench.prepare(name)).title.isprintable()


async def test_a_line_without_an_end_ends_the_server(log: Path) -> None:
    async with open_bench(odd("endless", log), limits=TimeLimits(call=20)) as bench:
        assert "ended during the call: it sent a line of more than 16 MiB" in await bench.refusal(
            "odd__work"
        )
