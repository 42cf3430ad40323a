"""initialize and authenticate: what is negotiated, and what comes before it."""

from __future__ import annotations

import pytest

from tests.protocol.harness import connected

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("version", [0, 1, 2, 65535])
async def test_initialize_answers_version_1_whatever_the_client_speaks(version: int) -> None:
    async with connected() as client:
        assert await client.result("initialize", {"protocolVersion": version}) == {
            "protocolVersion": 1,
            "agentCapabilities": {
                "loadSession": True,
                "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
                "mcpCapabilities": {"http": True, "sse": True},
                "sessionCapabilities": {
                    "list": {},
                    "resume": {},
                    "close": {},
                    "delete": {},
                    "additionalDirectories": {},
                },
            },
            "agentInfo": {"name": "gpt-oss-acp", "title": "GPT-OSS", "version": "0.0.0"},
            "authMethods": [{"id": "local", "name": "Local model, no login"}],
        }


async def test_a_client_with_terminals_for_it_is_offered_the_setup() -> None:
    async with connected() as client:
        params = {"protocolVersion": 1, "clientCapabilities": {"auth": {"terminal": True}}}
        methods = (await client.result("initialize", params))["authMethods"]
        assert [(method["id"], method.get("type"), method.get("args")) for method in methods] == [
            ("local", None, None),
            ("setup", "terminal", ["--setup"]),
        ]
        # The client runs it in a terminal; asking us is a mistake.
        assert await client.error("authenticate", {"methodId": "setup"}) == (
            -32602,
            "authenticate: methodId must be one of local",
        )


@pytest.mark.parametrize("version", [None, "1", 1.0, True, -1, 65536, [], {}])
async def test_initialize_without_a_version_number_names_the_field(version: object) -> None:
    async with connected() as client:
        assert await client.error("initialize", {"protocolVersion": version}) == (
            -32602,
            "initialize: protocolVersion must be an integer from 0 to 65535",
        )


@pytest.mark.parametrize(
    "capabilities", [None, 5, {"fs": 5, "session": "x"}, {"terminal": "yes", "_meta": []}]
)
async def test_broken_capabilities_count_as_absent(capabilities: object) -> None:
    async with connected() as client:
        params = {"protocolVersion": 1, "clientCapabilities": capabilities}
        assert (await client.result("initialize", params))["protocolVersion"] == 1


async def test_second_initialize_is_answered_like_the_first() -> None:
    async with connected() as client:
        first = await client.result("initialize", {"protocolVersion": 1})
        assert await client.result("initialize", {"protocolVersion": 1}) == first


@pytest.mark.parametrize(
    "method",
    [
        "authenticate",
        "session/new",
        "session/prompt",
        "session/close",
        "session/set_mode",
        "session/set_config_option",
        "session/load",
        "session/list",
        "session/resume",
        "session/delete",
    ],
)
async def test_nothing_is_done_before_initialize(method: str) -> None:
    async with connected() as client:
        assert await client.error(method) == (-32600, f"{method}: send initialize first")


@pytest.mark.parametrize(
    "method",
    [
        "session/fork",
        "session/set_model",
        "logout",
        "session/cancel",
        "_vendor/thing",
        "",
    ],
)
async def test_method_that_is_not_implemented_is_never_a_success(method: str) -> None:
    async with connected() as client:
        assert await client.error(method) == (-32601, "method not found")
        await client.open()
        assert await client.error(method) == (-32601, "method not found")


async def test_authenticate_knows_the_advertised_method_alone() -> None:
    async with connected() as client:
        await client.open()
        assert await client.result("authenticate", {"methodId": "local"}) == {}
        for method in ("other", None, 5):
            assert await client.error("authenticate", {"methodId": method}) == (
                -32602,
                "authenticate: methodId must be one of local",
            )
