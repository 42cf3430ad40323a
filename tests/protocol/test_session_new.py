"""session/new: where a session may live, and what it offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from acp_agent.servers import HttpServer, ServerConfig, StdioServer
from tests.protocol.harness import Json, connected

pytestmark = pytest.mark.anyio


async def test_new_session_offers_modes_and_options_with_defaults() -> None:
    async with connected() as client:
        await client.result("initialize", {"protocolVersion": 1})
        opened = await client.result("session/new", {"cwd": "/", "mcpServers": []})
        assert opened["sessionId"] == "sess_1"
        assert opened["modes"] == {
            "currentModeId": "gptoss_20b",
            "availableModes": [
                {
                    "id": "gptoss_20b",
                    "name": "GPT-OSS",
                    "description": "prompts go to GPT-OSS",
                }
            ],
        }
        shown = [(o["id"], o["category"], o["currentValue"]) for o in opened["configOptions"]]
        assert shown == [
            ("mode", "mode", "gptoss_20b"),
            ("model", "model", "gpt-oss-20b"),
            ("effort", "thought_level", "medium"),
            ("approvals", "custom", "ask"),
        ]
        assert opened["configOptions"][1]["options"] == [
            {"value": "gpt-oss-20b", "name": "gpt-oss-20b"},
            {"value": "gpt-oss-120b", "name": "gpt-oss-120b"},
        ]


async def test_every_session_has_its_own_id_and_options() -> None:
    async with connected() as client:
        first = await client.open()
        second = await client.open()
        assert first != second
        params = {"sessionId": first, "configId": "effort", "value": "high"}
        await client.result("session/set_config_option", params)
        await client.until_answer(client.prompt(session_id=first))
        await client.until_answer(client.prompt(session_id=second))
        efforts = {s.opened.id: s.opened.options["effort"] for s in client.sessions}
        assert efforts == {first: "high", second: "medium"}


async def test_core_gets_all_roots(tmp_path: Path) -> None:
    more = tmp_path / "more"
    async with connected() as client:
        await client.result("initialize", {"protocolVersion": 1})
        params: Json = {"cwd": str(tmp_path), "additionalDirectories": [str(more)]}
        opened = await client.result("session/new", params)
        await client.until_answer(client.prompt(session_id=opened["sessionId"]))
        session = client.sessions[0].opened
        assert (session.cwd, session.roots) == (tmp_path, (tmp_path, more))


STDIO: Json = {"name": "x", "command": "/bin/x", "args": ["a"], "env": []}
HTTP: Json = {"type": "http", "name": "x", "url": "http://x", "headers": []}
WRONG: list[tuple[Json, str]] = [
    ({}, "cwd must be a string"),
    ({"cwd": 5}, "cwd must be a string"),
    ({"cwd": "work"}, "cwd must be an absolute path"),
    ({"cwd": ""}, "cwd must be an absolute path"),
    ({"cwd": "/nowhere/at/all"}, "cwd must be an existing directory"),
    ({"cwd": "/etc/passwd"}, "cwd must be an existing directory"),
    ({"cwd": "/" + "a" * 5000}, "cwd must be an existing directory"),
    ({"cwd": "/\0"}, "cwd must not hold a null byte"),
    ({"cwd": "/", "additionalDirectories": "/x"}, "additionalDirectories must be a list"),
    ({"cwd": "/", "additionalDirectories": [1]}, "additionalDirectories[0] must be a string"),
    (
        {"cwd": "/", "additionalDirectories": ["/x", "y"]},
        "additionalDirectories[1] must be an absolute path",
    ),
    ({"cwd": "/", "mcpServers": {}}, "mcpServers must be a list"),
    ({"cwd": "/", "mcpServers": ["x"]}, "mcpServers[0] must be an object"),
    ({"cwd": "/", "mcpServers": [STDIO, {}]}, "mcpServers[1].name must be a string"),
    ({"cwd": "/", "mcpServers": [{"name": "x"}]}, "mcpServers[0].command must be a string"),
    ({"cwd": "/", "mcpServers": [STDIO | {"args": 1}]}, "mcpServers[0].args must be a list"),
    (
        {"cwd": "/", "mcpServers": [STDIO | {"env": [{"name": "A"}]}]},
        "mcpServers[0].env[0].value must be a string",
    ),
    ({"cwd": "/", "mcpServers": [HTTP | {"url": 1}]}, "mcpServers[0].url must be a string"),
    (
        {"cwd": "/", "mcpServers": [HTTP | {"type": "pigeon"}]},
        "mcpServers[0].type must be one of http, sse, stdio",
    ),
    (
        {"cwd": "/", "mcpServers": [HTTP | {"url": "file:///etc/passwd"}]},
        "mcpServers[0].url must be an http:// or https:// address",
    ),
    (
        {"cwd": "/", "mcpServers": [STDIO | {"command": ""}]},
        "mcpServers[0].command must not be empty",
    ),
    (
        {"cwd": "/", "mcpServers": [HTTP | {"headers": [{"name": 1, "value": "s3cret"}]}]},
        "mcpServers[0].headers[0].name must be a string",
    ),
]


@pytest.mark.parametrize(("params", "message"), WRONG)
async def test_wrong_params_name_the_field(params: Json, message: str) -> None:
    async with connected() as client:
        await client.result("initialize", {"protocolVersion": 1})
        assert await client.error("session/new", params) == (-32602, f"session/new: {message}")


SECRETS: Json = {"env": [{"name": "A", "value": "s3cret"}, {"name": "A", "value": "s3cret 2"}]}
HEADERS: Json = {"headers": [{"name": "Authorization", "value": "Bearer s3cret"}]}


@pytest.mark.parametrize(
    ("servers", "kept"),
    [
        (None, ()),
        ([], ()),
        ([STDIO], (StdioServer("x", "/bin/x", ("a",)),)),
        ([STDIO | {"type": "stdio"}], (StdioServer("x", "/bin/x", ("a",)),)),
        ([{"name": "", "command": "x"}], (StdioServer("", "x"),)),
        (
            [STDIO | SECRETS],
            (StdioServer("x", "/bin/x", ("a",), (("A", "s3cret"), ("A", "s3cret 2"))),),
        ),
        (
            [HTTP | HEADERS, HTTP | {"type": "sse"}],
            (
                HttpServer("x", "http://x", (("Authorization", "Bearer s3cret"),)),
                HttpServer("x", "http://x", sse=True),
            ),
        ),
    ],
)
async def test_session_keeps_its_mcp_servers_and_shows_nothing_of_them(
    servers: object, kept: tuple[ServerConfig, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with connected() as client:
        await client.result("initialize", {"protocolVersion": 1})
        params = {"cwd": "/", "mcpServers": servers, "additionalDirectories": None}
        opened = await client.result("session/new", params)
        await client.until_answer(client.prompt(session_id=opened["sessionId"]))
        session = client.sessions[0].opened
        assert session.servers == kept
        assert "s3cret" not in f"{session.servers!r} {session.servers} {caplog.text}"


async def test_new_session_is_warmed_and_again_after_each_turn() -> None:
    async with connected() as client:
        await client.open()
        await client.silence()
        assert [session.warmed for session in client.sessions] == [1]
        await client.until_answer(client.prompt())
        await client.silence()
        assert [session.warmed for session in client.sessions] == [2]
