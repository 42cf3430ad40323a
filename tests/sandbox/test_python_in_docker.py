"""The tool `python` in a real container."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from acp_agent.events import Event, ToolOutput
from acp_agent.sandbox import owner
from acp_agent.sandbox.base import Limits
from acp_agent.sandbox.docker_engine import connect
from acp_agent.tools.python import PythonRules, PythonTool
from acp_agent.tools.python_result import TIMED_OUT
from acp_agent.tools.raw_body import RawBody
from acp_agent.tools.workspace import Workspace

if TYPE_CHECKING:
    from tests.sandbox.conftest import DockerEngine

pytestmark = pytest.mark.anyio


class Python:
    """The tool, called as a turn does it."""

    def __init__(self, tool: PythonTool) -> None:
        self.tool = tool
        self.seen = anyio.Event()

    async def emit(self, event: Event) -> None:
        if isinstance(event, ToolOutput) and "begun" in event.snapshot:
            self.seen.set()

    async def __call__(self, code: str) -> str:
        with anyio.fail_after(30):
            prepared = await self.tool.prepare("call-1", RawBody(body=code))
            return (await prepared.run(self.emit)).text


@pytest.fixture
async def python(docker_engine: DockerEngine, workspace: Path) -> AsyncIterator[Python]:
    sandboxes = docker_engine.sandboxes
    rules = PythonRules(
        timeout=3, writable=lambda: True, limits=Limits(memory=128, processes=32, scratch=16)
    )
    tool = PythonTool(Workspace(workspace), sandboxes.open, trouble=sandboxes.trouble, rules=rules)
    yield Python(tool)
    await tool.close()
    async with connect(docker_engine.environ) as engine:
        assert await engine.do("list", lambda c: c.api.containers(all=True)) == []


async def test_state_and_files_are_kept(python: Python, workspace: Path) -> None:
    (workspace / "a").write_text("1")
    assert await python("x = int(open('a').read())\nopen('b', 'w').write('2')") == "1"
    assert await python(f"x, open('{workspace}/b').read()") == "(1, '2')"
    assert (workspace / "b").read_text() == "2"
    assert await python("open('/mnt/data/c', 'w').write('kept')") == "4"
    assert await python("open('/mnt/data/c').read()") == "'kept'"


async def test_time_is_limited_and_state_kept(python: Python) -> None:
    assert TIMED_OUT in await python("x = 1\nwhile True: pass")
    assert await python("x") == "1"


async def test_a_memory_hog_is_told_what_killed_it(python: Python) -> None:
    text = await python("held = [bytearray(8 << 20) for _ in range(100)]")
    assert "probably for using more than 128 MiB of memory" in text
    assert await python("1") == "1"


@pytest.mark.parametrize("heeds", [True, False])
async def test_a_cancel_leaves_no_process_of_the_cell(python: Python, heeds: bool) -> None:
    stubborn = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code = (
        f"{'' if heeds else stubborn}import subprocess, time\nx = 5\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print('begun')\ntime.sleep(600)"
    )
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(python, code)
            await python.seen.wait()
            tasks.cancel_scope.cancel()
    text = await python(
        "import glob\n"
        "stats = [open(path).read() for path in glob.glob('/proc/[0-9]*/stat')]\n"
        "[stat for stat in stats if '(sleep)' in stat and '(sleep) Z' not in stat]"
    )
    assert text.endswith("[]")
    assert ("earlier variables are lost" in text) is not heeds


async def test_labels_say_whose_the_container_is(
    python: Python, docker_engine: DockerEngine
) -> None:
    await python("1")
    async with connect(docker_engine.environ) as engine:
        [found] = await engine.do("list", lambda c: c.api.containers())
    assert found["Labels"] == owner.labels()
