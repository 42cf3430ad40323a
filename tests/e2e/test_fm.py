"""Mode `fm` with the real process: SmolLM2 or a bridge's stand-in as FM, nano as GPT-OSS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from acp_agent.engine import smollm2
from acp_agent.verbs.demo import PROMPT
from acp_agent.voices import NANO_LABEL
from scripts.nano_dialogues import FIX, HELLO, LIST
from tests.backends.chat_dialects import BRIDGE
from tests.backends.compliance import HTML, Play, bench
from tests.e2e import stand_in as engine
from tests.e2e.agent import open_agent
from tests.e2e.processes import PATIENCE, Process, descendants, running, until
from tests.e2e.stand_in import reply, stand_in
from tests.e2e.turn import Json, Turn

pytestmark = pytest.mark.anyio

Env = dict[str, str]

FM = ("--demo", "--mode", "fm")
WISH = json.dumps(
    {
        "candidate": "delegate",
        "taskClass": "delegate",
        "reasonCode": "needs_delegation",
        "confidence": 1,
    }
)


def delegated(turn: Turn) -> Json:
    """Return the one call `gptoss.generate`."""
    [call] = [call for call in turn.calls if call["name"] == "gptoss.generate"]
    return call


def decisions(env: Env) -> list[Json]:
    file = Path(env["XDG_STATE_HOME"], "acp-agent", "routing.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def sources(turn: Turn) -> set[str]:
    """Return who said what is in the answer."""
    chunks = [u for u in turn.updates if u["sessionUpdate"] == "agent_message_chunk"]
    return {chunk["_meta"]["source"] for chunk in chunks}


def meta(update: Json) -> Json:
    return update.get("_meta") or {}


@pytest.fixture
def logged(world: Env, tmp_path: Path) -> Env:
    """Give the shared environment with a state directory, and so a decision log, of its own."""
    (tmp_path / "state").mkdir()
    return world | {"XDG_STATE_HOME": str(tmp_path / "state")}


async def test_the_packaged_small_model_answers_a_light_prompt(
    with_small: Env, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    logged = with_small | {"XDG_STATE_HOME": str(tmp_path / "state")}
    async with open_agent(logged, *FM) as agent:
        turn = await (await agent.new_session(workspace)).prompt("hi")
    assert (turn.stop, turn.calls) == ("end_turn", [])
    assert 3 < len(turn.answer) < 1000
    assert NANO_LABEL not in turn.answer
    assert sources(turn) == {"fm_orchestrator"}
    assert turn.usage["_meta"] == {"source": "fm_orchestrator", "provider": "llama.cpp"}
    assert 20 < turn.usage["used"] < turn.usage["size"] == smollm2.CONTEXT
    [decision] = decisions(logged)
    assert (decision["decision"], "prompt" in decision) == ("inline", False)


async def test_a_heavy_prompt_is_delegated_and_its_calls_are_seen(
    logged: Env, workspace: Path
) -> None:
    async with bench(BRIDGE, Play(text=("No.",))) as bridge:
        env = logged | {"FM_BRIDGE_URL": bridge.endpoint.url}
        async with open_agent(env, *FM, "--fm-backend", "foundation_bridge:") as agent:
            turn = await (await agent.new_session(workspace)).prompt(PROMPT)
    assert (turn.stop, turn.answer) == ("end_turn", NANO_LABEL + FIX.answer.text)
    assert "a + b" in (workspace / "calc.py").read_text()
    call, *inner = turn.calls
    assert call["title"] == "gptoss.generate (code generation)"
    assert turn.statuses(call) == ["pending", "in_progress", "completed"]
    assert len(inner) > 4
    parents = {meta(update).get("parentToolCallId") for update in turn.updates}
    assert parents == {call["toolCallId"], None}
    [decision] = decisions(logged)
    assert call["rawInput"] == {
        "user_prompt": PROMPT,
        "task_type": "code_generation",
        "reason": decision["reason"],
        "provider": "gptoss",
        "model": "nano",
        "workspace_root": str(workspace),
    }
    assert call["_meta"]["routing"]["rules"] == decision["rules"]
    assert call["rawOutput"]["usage"]["model_calls"] == 7
    assert call["rawOutput"]["usage"]["completion_tokens"] > 100


async def test_the_small_model_may_ask_for_gptoss_itself(
    logged: Env, workspace: Path, tmp_path: Path
) -> None:
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("doubt = 1000\n")
    async with bench(BRIDGE, Play(text=(WISH,))) as bridge:
        env = logged | {"FM_BRIDGE_URL": bridge.endpoint.url, "ACP_AGENT_RUBRIC": str(rubric)}
        async with open_agent(env, *FM, "--fm-backend", "foundation_bridge:") as agent:
            turn = await (await agent.new_session(workspace)).prompt("hello")
    assert turn.answer == NANO_LABEL + HELLO.answer.text
    assert bridge.answers[0].body["route"] == {"candidates": ["inline", "delegate"]}
    reason = "The small model asks for GPT-OSS, so GPT-OSS answers"
    assert delegated(turn)["rawInput"]["reason"] == f"{reason} (needs_delegation)"
    assert [d["decision"] for d in decisions(logged)] == ["inline", "delegate"]
    assert decisions(logged)[1]["rules"][0] == {
        "name": "fm_asks",
        "score": 0,
        "decides": "delegate",
    }


async def test_cancel_reaches_into_a_delegation_and_leaves_nothing_behind(
    logged: Env, workspace: Path
) -> None:
    async with bench(BRIDGE, Play()) as bridge:
        env = logged | {"FM_BRIDGE_URL": bridge.endpoint.url, "ACP_AGENT_APPROVALS": "full"}
        async with open_agent(env, *FM, "--fm-backend", "foundation_bridge:") as agent:
            session = await agent.new_session(workspace)
            turns: list[Turn] = []
            sleeping: set[Process] = set()

            async def prompt() -> None:
                turns.append(await session.prompt("run a slow command"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(prompt)
                await session.runs("sleep 30")

                def sleeps() -> bool:
                    found = descendants(agent.process.pid)
                    sleeping.update(one for one in found if "sleep 30" in one.command)
                    return bool(sleeping)

                await until(sleeps)
                await session.cancel()
            await until(lambda: not running(sleeping), 5)
            [turn] = turns
            again = await session.prompt("list the files")
    assert turn.stop == "cancelled"
    assert [call["status"] for call in turn.calls] == ["failed", "failed"]
    assert again.stop == "end_turn"


@pytest.mark.parametrize("server", ["nothing", "a web page"])
async def test_without_the_small_model_gptoss_answers_and_the_reason_is_clear(
    logged: Env, workspace: Path, server: str
) -> None:
    async with bench(BRIDGE, Play(instead=HTML, everywhere=True)) as page:
        url = page.endpoint.url if server == "a web page" else "http://127.0.0.1:9"
        env = logged | {"FM_BRIDGE_URL": url}
        async with open_agent(env, *FM, "--fm-backend", "foundation_bridge:") as agent:
            turn = await (await agent.new_session(workspace)).prompt("hello")
    assert turn.answer == NANO_LABEL + HELLO.answer.text
    [*_, decision] = decisions(logged)
    assert decision["rules"][0]["name"] == "fm_unavailable"
    reason = delegated(turn)["rawInput"]["reason"]
    assert reason.startswith(f"{decision['reason']} (")
    assert decision["reason"].startswith("fm_unavailable: ")
    assert url in reason
    assert url not in json.dumps(decision)
    assert "\n" not in reason


async def test_without_gptoss_the_small_model_says_what_is_missing(
    with_small: Env, modelless: Env, workspace: Path
) -> None:
    async with open_agent(modelless | with_small, "--mode", "fm") as agent:
        session = await agent.new_session(workspace)
        heavy = await session.prompt("Refactor calc.py and add tests")
        light = await session.prompt("hi")
    assert heavy.stop == "end_turn"
    opening = "This is a task for GPT-OSS, which cannot answer now: no gpt-oss model was found: set"
    assert heavy.answer.startswith(opening)
    assert heavy.calls == []
    assert light.stop == "end_turn"
    assert not light.answer.startswith("This is a task for GPT-OSS")
    assert len(light.answer) > 3


async def test_a_gptoss_that_fails_is_a_failed_call_and_an_answer(
    logged: Env, workspace: Path
) -> None:
    async with (
        bench(BRIDGE, Play(text=("Split it up.",))) as bridge,
        stand_in(reply(500, engine.FAILED)) as broken,
    ):
        env = logged | {"FM_BRIDGE_URL": bridge.endpoint.url, "GPT_OSS_URL": broken.url}
        async with open_agent(env, "--mode", "fm") as agent:
            turn = await (await agent.new_session(workspace)).prompt("Refactor calc.py")
    assert turn.stop == "end_turn"
    call = delegated(turn)
    assert call["status"] == "failed"
    assert "slot is broken" in call["rawOutput"]["error"]
    assert turn.answer.startswith("GPT-OSS could not answer: ")
    assert turn.answer.endswith("Split it up.")


async def test_switching_modes_in_mid_session_keeps_what_was_said(
    logged: Env, workspace: Path
) -> None:
    async with bench(BRIDGE, Play(text=("Hello, Ada.",))) as bridge:
        env = logged | {"FM_BRIDGE_URL": bridge.endpoint.url}
        async with open_agent(env, "--demo", "--fm-backend", "foundation_bridge:") as agent:
            session = await agent.new_session(workspace)
            assert session.opened.modes is not None
            assert session.opened.modes.current_mode_id == "gptoss_20b"
            first = await session.prompt("hello")
            await agent.connection.set_session_mode(session.id, "fm")
            second = await session.prompt("hi, I am Ada")
            await agent.connection.set_config_option("mode", session.id, "gptoss_20b")
            third = await session.prompt("list the files")
            updates = session.updates
    assert first.answer == NANO_LABEL + HELLO.answer.text
    assert second.answer == "Hello, Ada."
    assert third.answer == NANO_LABEL + LIST.answer.text
    # It is asked for a title too.
    [asked] = [answer for answer in bridge.answers if "Ada" in str(answer.body["messages"])]
    said = [(m["role"], m["content"]) for m in asked.body["messages"] if m["role"] != "system"]
    assert said == [
        ("user", "hello"),
        ("assistant", HELLO.answer.text),
        ("user", "hi, I am Ada"),
    ]
    kinds = [u["sessionUpdate"] for u in updates]
    assert "config_option_update" in kinds
    assert "current_mode_update" in kinds


async def test_where_the_small_model_cannot_be_fetched_the_demo_weights_stand_in(
    logged: Env, workspace: Path
) -> None:
    async with open_agent(logged, *FM) as agent:
        turn = await (await agent.new_session(workspace)).prompt("hello")
    assert turn.answer == NANO_LABEL + HELLO.answer.text
    assert turn.calls == []
    assert "fetching SmolLM2-135M-Instruct (93 MB) once" in turn.thoughts
    assert "cannot fetch SmolLM2-135M-Instruct: " in turn.thoughts
    assert "The demo weights answer light prompts too" in turn.thoughts


def test_run_says_on_the_side_who_answers_and_why(logged: Env, workspace: Path) -> None:
    command = [sys.executable, "-m", "acp_agent", "run", *FM, "hello"]
    ran = subprocess.run(
        command,
        env=logged,
        cwd=workspace,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, NANO_LABEL + HELLO.answer.text + "\n")
    assert "→ inline: It is a short question, so the small model answers" in ran.stderr


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    ("prompt", "code"), [("hi", 0), ("Refactor calc.py and add tests", 1)], ids=["light", "heavy"]
)
def test_a_script_sees_that_gptoss_did_not_answer(
    with_small: Env, modelless: Env, workspace: Path, prompt: str, code: int, form: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "acp_agent", "run", "--mode", "fm", *form, prompt]
    ran = subprocess.run(
        command,
        env=modelless | with_small,
        cwd=workspace,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    said = "acp-agent: GPT-OSS did not answer: no gpt-oss model was found: set " in ran.stderr
    assert said == bool(code)
