"""How a server is asked, where no backend's own test shows it."""

from __future__ import annotations

import anyio
import pytest

from acp_agent.backends.api import Api, Patience
from acp_agent.backends.endpoint import fixed
from acp_agent.backends.failures import Service
from acp_agent.backends.ndjson import LineReader
from acp_agent.backends.sse import ServerEvent
from acp_agent.errors import EngineUnavailable
from tests.backends.chat_dialects import LLAMA_SERVER
from tests.backends.compliance import Play, bench
from tests.backends.stand_in import answer, stand_in

pytestmark = pytest.mark.anyio


async def test_a_question_that_gets_no_answer_is_given_up() -> None:
    async with bench(LLAMA_SERVER, Play(slow=True)) as there:
        api = Api(Service("the server"), fixed(there.endpoint), patience=Patience(quick=0.05))
        with pytest.raises(EngineUnavailable, match=r"the server at .* not answer within 0\.05 s"):
            await api.ask("POST", "/v1/chat/completions", {})


@pytest.mark.parametrize(("wished", "longest"), [("3600", 0.05), ("0", 0.05), ("soon", 0.05)])
async def test_a_server_is_given_the_time_that_it_asks_for_within_reason(
    wished: str, longest: float
) -> None:
    busy = answer(503, {}).replace(b"Connection:", f"Retry-After: {wished}\r\nConnection:".encode())
    patience = Patience(pauses=(0.0,), longest=longest)
    async with stand_in(busy, answer(200, {})) as there:
        began = anyio.current_time()
        with anyio.fail_after(5):
            api = Api(Service("the server"), fixed(there.endpoint), patience=patience)
            found = await api.ask("GET", "/")
    assert (found.status, len(there.asked)) == (200, 2)
    assert (anyio.current_time() - began >= longest) == (wished == "3600")


@pytest.mark.parametrize("size", range(1, 9))
def test_lines_are_the_same_wherever_the_bytes_are_cut(size: int) -> None:
    data = '{"a": "é"}\r\n\n {"b": 1}\n{"c": 2}'.encode()
    reader = LineReader()
    found = [
        event
        for start in range(0, len(data), size)
        for event in reader.feed(data[start : start + size])
    ]
    lines = ['{"a": "é"}', '{"b": 1}', '{"c": 2}']
    assert found + reader.close() == [ServerEvent("line", line) for line in lines]
