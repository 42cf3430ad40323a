"""session/set_mode and session/set_config_option: two ways to the same values, in step."""

from __future__ import annotations

import pytest

from acp_agent.agent.options import Choice, Option, SessionOptions
from acp_agent.config import Settings
from acp_agent.offer import session_options
from acp_agent.protocol.agent import Agent
from tests.protocol.harness import Json, connected, updates

pytestmark = pytest.mark.anyio


def two_modes() -> Agent:
    """Return an agent with a choice of modes."""
    modes = (Choice("gptoss_20b", "GPT-OSS"), Choice("fm", "Small"))
    options = (Option("mode", "mode", "Mode", "", modes),)
    return Agent(lambda: SessionOptions(options, {"mode": "gptoss_20b"}), "0", lambda: "sess_1")


def two_models() -> Agent:
    """Return an agent with two models, each with a mode of its own, and a mode for both."""
    settings = Settings(model_120b="vllm:big", fm_backend="smollm2")
    return Agent(lambda: session_options(settings, {}, at_hand=""), "0", lambda: "sess_1")


def values(answer: Json) -> dict[str, str]:
    return {option["id"]: option["currentValue"] for option in answer["configOptions"]}


async def test_setting_an_option_answers_the_complete_list() -> None:
    async with connected() as client:
        session = await client.open()
        params = {"sessionId": session, "configId": "effort", "value": "high"}
        frames = await client.until_answer(client.ask("session/set_config_option", params))
        assert values(frames[-1]["result"]) == {
            "mode": "gptoss_20b",
            "model": "gpt-oss-20b",
            "effort": "high",
            "approvals": "ask",
        }
        await client.silence()


async def test_set_mode_updates_the_mode_option() -> None:
    async with connected(agent=two_modes()) as client:
        session = await client.open()
        answer = await client.call("session/set_mode", {"sessionId": session, "modeId": "fm"})
        assert answer["result"] == {}
        (update,) = updates([await client.next()])
        assert update["sessionUpdate"] == "config_option_update"
        assert values(update) == {"mode": "fm"}
        await client.silence()


async def test_setting_the_mode_option_updates_the_mode() -> None:
    async with connected(agent=two_modes()) as client:
        session = await client.open()
        params = {"sessionId": session, "configId": "mode", "value": "fm"}
        assert values(await client.result("session/set_config_option", params)) == {"mode": "fm"}
        assert updates([await client.next()]) == [
            {"sessionUpdate": "current_mode_update", "currentModeId": "fm"}
        ]
        await client.silence()


async def test_set_mode_tells_of_the_model_that_goes_with_it() -> None:
    async with connected(agent=two_models()) as client:
        session = await client.open()
        request = client.ask("session/set_mode", {"sessionId": session, "modeId": "gptoss_120b"})
        assert await client.until_answer(request) == [
            {"jsonrpc": "2.0", "id": request, "result": {}}
        ]
        (update,) = updates([await client.next()])
        assert update["sessionUpdate"] == "config_option_update"
        assert values(update) == {
            "mode": "gptoss_120b",
            "model": "vllm:big",
            "effort": "medium",
            "approvals": "ask",
        }
        await client.silence()


async def test_setting_the_model_updates_the_mode_that_goes_with_it() -> None:
    async with connected(agent=two_models()) as client:
        session = await client.open()
        params = {"sessionId": session, "configId": "model", "value": "vllm:big"}
        request = client.ask("session/set_config_option", params)
        (answer,) = await client.until_answer(request)
        assert values(answer["result"])["mode"] == "gptoss_120b"
        assert updates([await client.next()]) == [
            {"sessionUpdate": "current_mode_update", "currentModeId": "gptoss_120b"}
        ]
        await client.silence()


async def test_setting_the_model_in_fm_leaves_the_mode_alone() -> None:
    async with connected(agent=two_models()) as client:
        session = await client.open()
        await client.result("session/set_mode", {"sessionId": session, "modeId": "fm"})
        (update,) = updates([await client.next()])
        assert (values(update)["mode"], values(update)["model"]) == ("fm", "gpt-oss-20b")
        params = {"sessionId": session, "configId": "model", "value": "vllm:big"}
        answer = await client.result("session/set_config_option", params)
        assert (values(answer)["mode"], values(answer)["model"]) == ("fm", "vllm:big")
        await client.silence()


async def test_every_mode_on_offer_is_told_in_both_forms() -> None:
    async with connected(agent=two_models()) as client:
        await client.result("initialize", {"protocolVersion": 1})
        opened = await client.result("session/new", {"cwd": "/", "mcpServers": []})
        assert opened["modes"] == {
            "currentModeId": "gptoss_20b",
            "availableModes": [
                {
                    "id": "gptoss_20b",
                    "name": "GPT-OSS",
                    "description": "prompts go to GPT-OSS",
                },
                {
                    "id": "gptoss_120b",
                    "name": "GPT-OSS 120B",
                    "description": "prompts go to the larger GPT-OSS",
                },
                {
                    "id": "fm",
                    "name": "FM",
                    "description": "a small model answers light prompts, GPT-OSS the rest",
                },
            ],
        }
        modes = opened["configOptions"][0]["options"]
        assert [mode["value"] for mode in modes] == ["gptoss_20b", "gptoss_120b", "fm"]


async def test_setting_what_is_set_already_updates_nothing() -> None:
    async with connected() as client:
        session = await client.open()
        mode = {"sessionId": session, "modeId": "gptoss_20b"}
        assert await client.result("session/set_mode", mode) == {}
        option = {"sessionId": session, "configId": "mode", "value": "gptoss_20b"}
        await client.result("session/set_config_option", option)
        await client.silence()


WRONG_OPTION: list[tuple[Json, int, str]] = [
    ({"sessionId": "nope"}, -32602, "sessionId names no open session"),
    ({}, -32602, "sessionId must be a string"),
    ({"configId": "color"}, -32602, "configId must be one of mode, model, effort, approvals"),
    ({"configId": None}, -32602, "configId must be one of mode, model, effort, approvals"),
    ({"configId": "effort"}, -32602, "value must be one of low, medium, high"),
    ({"configId": "effort", "value": "max"}, -32602, "value must be one of low, medium, high"),
    (
        {"configId": "effort", "type": "boolean", "value": True},
        -32602,
        "value must be one of low, medium, high",
    ),
    ({"configId": "effort", "value": ["low"]}, -32602, "value must be one of low, medium, high"),
]


@pytest.mark.parametrize(("params", "code", "message"), WRONG_OPTION)
async def test_wrong_option_names_the_field_and_changes_nothing(
    params: Json, code: int, message: str
) -> None:
    async with connected() as client:
        session = await client.open()
        if params:
            params = {"sessionId": session} | params
        error = await client.error("session/set_config_option", params)
        assert error == (code, f"session/set_config_option: {message}")


@pytest.mark.parametrize("mode", [None, 5, "plan"])
async def test_wrong_mode_names_the_field(mode: object) -> None:
    async with connected() as client:
        session = await client.open()
        error = await client.error("session/set_mode", {"sessionId": session, "modeId": mode})
        assert error == (-32602, "session/set_mode: modeId must be one of gptoss_20b")
