"""Servers at addresses: both ways of HTTP, and addresses where there is none."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from acp_agent.servers import HttpServer
from acp_agent.tools.mcp.server import TimeLimits
from tests.tools.mcp.conftest import SECRET, open_bench, served
from tests.tools.mcp.test_servers import says

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_tools_at_an_address_are_called(
    kind: str, http_server: str, sse_server: str, tmp_path: Path
) -> None:
    url = sse_server if kind == "sse" else http_server
    async with open_bench(HttpServer("web", url, (("X-Key", "1"),), sse=kind == "sse")) as bench:
        assert bench.notes == []
        assert await bench.text("web__echo", text="hi") == "hi"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bench.call("web__sleep", file=str(tmp_path / kind)))
            await says(tmp_path / kind, "began")
            tasks.cancel_scope.cancel()
        await says(tmp_path / kind, "cancelled")
        assert await bench.text("web__echo", text="still there") == "still there"


async def test_a_changed_list_is_heard_of_over_http(http_server: str) -> None:
    async with open_bench(HttpServer("web", http_server)) as bench:
        assert await bench.text("web__grow") == "grown"
        with anyio.fail_after(10):
            while "web__grown" not in bench.names():
                await bench.tools.ready()
                await anyio.sleep(0.02)


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_that_goes_away_is_told_by_the_call(kind: str) -> None:
    with served("rich", kind) as (url, stop):
        async with open_bench(HttpServer("web", url, sse=kind == "sse")) as bench:
            await anyio.to_thread.run_sync(stop)
            words = await bench.refusal("web__echo", text="hi")
            assert "mcp server 'web'" in words
            assert "nothing answers at its address" in await bench.refusal("web__echo", text="hi")


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_that_was_started_anew_is_reached_again(kind: str) -> None:
    with served("rich", kind) as (url, stop):
        async with open_bench(HttpServer("web", url, sse=kind == "sse")) as bench:
            assert await bench.text("web__echo", text="hi") == "hi"
            await anyio.to_thread.run_sync(stop)
            port = int(url.split(":")[2].partition("/")[0])
            with await anyio.to_thread.run_sync(started, kind, port):
                if kind == "http":  # it does not hear of the end before it asks
                    words = await bench.refusal("web__echo", text="hi")
                    assert words == "mcp server 'web' was restarted; call again"
                assert await bench.text("web__echo", text="again") == "again"


def started(kind: str, port: int) -> ExitStack:
    """Serve at a port until the stack is closed."""
    stack = ExitStack()
    stack.enter_context(served("rich", kind, port))
    return stack


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Serve `answer` to every request."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            yield f"http://127.0.0.1:{port}/mcp?token={SECRET}"
            tasks.cancel_scope.cancel()


REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<p>hi"
JUNK = b"SSH-2.0-OpenSSH\r\n"


@pytest.mark.parametrize("sse", [False, True])
@pytest.mark.parametrize(
    ("answer", "word"), [(REFUSED, "HTTP 401"), (PAGE, ""), (JUNK, "RemoteProtocolError")]
)
async def test_what_is_no_server_is_told_without_secrets(
    answer: bytes, word: str, sse: bool
) -> None:
    async with answering(answer) as url:
        server = HttpServer("web", url, (("Authorization", f"Bearer {SECRET}"),), sse)
        async with open_bench(server, limits=TimeLimits(connect=3)) as bench:
            [note] = bench.notes
            assert note.startswith("mcp server 'web' does not work; its tools are missing (")
            assert word in note and SECRET not in note


@pytest.mark.parametrize(
    ("server", "word"),
    [
        (HttpServer("web", "http://127.0.0.1:9/mcp"), "nothing answers at its address"),
        (HttpServer("web", "http://"), "its address is no address"),
        (HttpServer("web", "http://127.0.0.1:9/", (("X\n", SECRET),)), ""),
        (HttpServer("web", "http://127.0.0.1:9/", (("X", f"{SECRET}\r\nY: z"),)), ""),
        (HttpServer("web", "http://127.0.0.1:9/", (("X", f"{SECRET}\u2026"),)), ""),
    ],
)
async def test_an_address_or_header_that_cannot_work_is_told(server: HttpServer, word: str) -> None:
    async with open_bench(server) as bench:
        [note] = bench.notes
        assert note.startswith("mcp server 'web' does not work; its tools are missing (")
        assert word in note and SECRET not in note
