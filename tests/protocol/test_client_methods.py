"""fs/*, terminal/* and session/request_permission: what we ask of a client, and its odd answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from acp_agent.conversation import UserMessage
from acp_agent.errors import ToolFailed
from acp_agent.events import Diff, Emit, Location, StopReason, TextDelta, ToolCallUpdated
from acp_agent.ports import Editor, PermissionOption, TerminalResult
from acp_agent.protocol.client import ClientEditor
from tests.protocol.harness import Client, Json, Play, connected, updates

pytestmark = pytest.mark.anyio

OPTIONS = (
    PermissionOption("yes", "Allow", "allow_once"),
    PermissionOption("always", "Always allow", "allow_always"),
    PermissionOption("no", "Reject", "reject_once"),
    PermissionOption("never", "Always reject", "reject_always"),
)


def using(work: Callable[[Editor], Awaitable[object]]) -> Play:
    """Return a turn that does `work` and says what came of it."""

    async def play(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        try:
            outcome = repr(await work(editor))
        except ToolFailed as error:
            outcome = f"failed: {error}"
        except FileNotFoundError as error:
            outcome = f"not found: {error}"
        await emit(TextDelta("m", outcome))
        return "end_turn"

    return play


async def asked(client: Client) -> Json:
    """Start a turn and return the request that it sends."""
    client.prompt()
    return await client.next()


async def outcome(client: Client) -> str:
    (update,) = updates([await client.next()])
    return update["content"]["text"]


READ: dict[str, tuple[Json, str]] = {
    "text": ({"result": {"content": "unsaved\n"}}, "'unsaved\\n'"),
    "no such file": ({"error": {"code": -32002, "message": "gone"}}, "not found: /w/a"),
    "refused": (
        {"error": {"code": -32603, "message": "disk on fire"}},
        "failed: the editor could not read '/w/a': disk on fire",
    ),
    "null": (
        {"result": None},
        "failed: the editor's answer to fs/read_text_file has no text 'content'",
    ),
    "a number": (
        {"result": {"content": 5}},
        "failed: the editor's answer to fs/read_text_file has no text 'content'",
    ),
    "a list": (
        {"result": []},
        "failed: the editor's answer to fs/read_text_file has no text 'content'",
    ),
    "an error without a code": (
        {"error": {}},
        "failed: the editor could not read '/w/a': the error has no code",
    ),
    "neither": (
        {"result": {}, "error": {}},
        "failed: the editor could not read '/w/a': the answer is not JSON-RPC",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), READ.values(), ids=READ)
async def test_read_text_file(answer: Json, expected: str) -> None:
    async with connected(using(lambda editor: editor.read_text_file("/w/a"))) as client:
        await client.open({"fs": {"readTextFile": True}})
        request = await asked(client)
        assert request["method"] == "fs/read_text_file"
        assert request["params"] == {"sessionId": client.session_id, "path": "/w/a"}
        client.send({"jsonrpc": "2.0", "id": request["id"], **answer})
        assert await outcome(client) == expected


async def test_write_text_file() -> None:
    async with connected(using(lambda editor: editor.write_text_file("/w/a", "x"))) as client:
        await client.open({"fs": {"writeTextFile": True}})
        request = await asked(client)
        assert request["method"] == "fs/write_text_file"
        assert request["params"] == {
            "sessionId": client.session_id,
            "path": "/w/a",
            "content": "x",
        }
        client.reply(request, None)
        assert await outcome(client) == "None"


async def test_refused_write_says_so() -> None:
    async with connected(using(lambda editor: editor.write_text_file("/w/a", "x"))) as client:
        await client.open({"fs": {"writeTextFile": True}})
        client.refuse(await asked(client), -32603, "read only")
        assert await outcome(client) == "failed: the editor could not write '/w/a': read only"


@pytest.mark.parametrize(
    ("capabilities", "flags"),
    [
        ({}, (False, False, False)),
        ({"fs": {"readTextFile": True}, "terminal": True}, (True, False, True)),
        ({"fs": {"readTextFile": 1, "writeTextFile": "yes"}}, (False, False, False)),
        ({"fs": {"writeTextFile": True}, "_meta": {"terminal": True}}, (False, True, False)),
    ],
)
async def test_editor_offers_what_the_client_declared(
    capabilities: Json, flags: tuple[bool, ...]
) -> None:
    async def look(editor: Editor) -> object:
        return (editor.can_read_files, editor.can_write_files, editor.has_terminals)

    async with connected(using(look)) as client:
        await client.open(capabilities)
        client.prompt()
        assert await outcome(client) == repr(flags)


PANES: Json = {"_meta": {"ui_pane": True}}


@pytest.mark.parametrize(
    ("capabilities", "has"), [({}, False), (PANES, True), ({"_meta": {"ui_pane": "yes"}}, False)]
)
async def test_panes_are_offered_by_a_client_that_says_so(capabilities: Json, has: bool) -> None:
    async def look(editor: Editor) -> object:
        return editor.has_panes

    async with connected(using(look)) as client:
        await client.open(capabilities)
        client.prompt()
        assert await outcome(client) == repr(has)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"result": {"success": True}}, "{'success': True}"),
        ({"result": None}, "None"),
        (
            {"error": {"code": -32601, "message": "no such method"}},
            "failed: the editor refused _openagents/ui_pane: no such method",
        ),
    ],
)
async def test_extension_request(answer: Json, expected: str) -> None:
    params = {"action": "ListPanes"}
    work = using(lambda editor: editor.extension("_openagents/ui_pane", params))
    async with connected(work) as client:
        await client.open(PANES)
        request = await asked(client)
        assert request["method"] == "_openagents/ui_pane"
        assert request["params"] == {"sessionId": client.session_id, "action": "ListPanes"}
        client.send({"jsonrpc": "2.0", "id": request["id"], **answer})
        assert await outcome(client) == expected


async def test_extension_request_that_is_not_answered_in_time_is_given_up() -> None:
    async def work(editor: Editor) -> object:
        assert isinstance(editor, ClientEditor)
        return await editor.extension("_x", {}, timeout=0.05)

    async with connected(using(work)) as client:
        await client.open()
        await asked(client)
        assert (await client.next())["method"] == "$/cancel_request"
        assert await outcome(client) == "failed: the editor did not answer _x within 0.05 s"


async def ask(editor: Editor) -> str | None:
    call = ToolCallUpdated(
        "c1",
        title="Edit a",
        kind="edit",
        status="pending",
        content=(Diff("/w/a", None, "x"),),
        locations=(Location("/w/a", 3),),
        raw_input={"path": "a"},
    )
    return await editor.request_permission(call, OPTIONS)


async def test_permission_request_shows_the_call_and_four_options() -> None:
    async with connected(using(ask)) as client:
        await client.open()
        request = await asked(client)
        assert request["method"] == "session/request_permission"
        assert request["params"] == {
            "sessionId": client.session_id,
            "toolCall": {
                "toolCallId": "c1",
                "title": "Edit a",
                "kind": "edit",
                "status": "pending",
                "content": [{"type": "diff", "path": "/w/a", "oldText": None, "newText": "x"}],
                "locations": [{"path": "/w/a", "line": 3}],
                "rawInput": {"path": "a"},
            },
            "options": [
                {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
                {"optionId": "always", "name": "Always allow", "kind": "allow_always"},
                {"optionId": "no", "name": "Reject", "kind": "reject_once"},
                {"optionId": "never", "name": "Always reject", "kind": "reject_always"},
            ],
        }


NO_ANSWER = "failed: the editor gave no valid answer to the permission request"
PERMISSION: dict[str, tuple[object, str]] = {
    "always": ({"outcome": {"outcome": "selected", "optionId": "always"}}, "'always'"),
    "never": ({"outcome": {"outcome": "selected", "optionId": "never"}}, "'never'"),
    "cancelled": ({"outcome": {"outcome": "cancelled"}}, "None"),
    "an unknown option": ({"outcome": {"outcome": "selected", "optionId": "sure"}}, "'no'"),
    "an option that is no text": ({"outcome": {"outcome": "selected", "optionId": []}}, "'no'"),
    "an unknown outcome": ({"outcome": {"outcome": "shrug", "optionId": "yes"}}, "'no'"),
    "no outcome": ({}, NO_ANSWER),
    "text": ("yes", NO_ANSWER),
    "null": (None, NO_ANSWER),
}


@pytest.mark.parametrize(("answer", "expected"), PERMISSION.values(), ids=PERMISSION)
async def test_permission_is_given_by_a_plain_yes_alone(answer: object, expected: str) -> None:
    async with connected(using(ask)) as client:
        await client.open()
        client.reply(await asked(client), answer)
        assert await outcome(client) == expected


async def test_client_that_cannot_ask_fails_the_tool() -> None:
    async with connected(using(ask)) as client:
        await client.open()
        client.refuse(await asked(client), -32601, "Method not found")
        expected = "failed: the editor refused session/request_permission: Method not found"
        assert await outcome(client) == expected


async def run_command(editor: Editor) -> TerminalResult:
    async with editor.open_terminal("ls", ["-l"], "/w", {"A": "1"}, 1000) as terminal:
        await terminal.wait()
        return await terminal.result()


async def test_terminal_is_created_awaited_read_and_released() -> None:
    async with connected(using(run_command)) as client:
        await client.open({"terminal": True})
        create = await asked(client)
        assert create["params"] == {
            "sessionId": client.session_id,
            "command": "ls",
            "args": ["-l"],
            "cwd": "/w",
            "env": [{"name": "A", "value": "1"}],
            "outputByteLimit": 1000,
        }
        answers: list[tuple[str, object]] = [
            ("terminal/wait_for_exit", {"exitCode": 2}),
            (
                "terminal/output",
                {"output": "a\n", "truncated": True, "exitStatus": {"exitCode": 2}},
            ),
            ("terminal/release", {}),
        ]
        client.reply(create, {"terminalId": "t1"})
        for method, answer in answers:
            request = await client.next()
            assert request["method"] == method
            assert request["params"] == {"sessionId": client.session_id, "terminalId": "t1"}
            client.reply(request, answer)
        expected = TerminalResult("a\n", exit_code=2, signal=None, truncated=True)
        assert await outcome(client) == repr(expected)


async def test_terminal_is_released_when_the_turn_is_cancelled() -> None:
    async with connected(using(run_command)) as client:
        await client.open({"terminal": True})
        client.reply(await asked(client), {"terminalId": "t1"})
        wait = await client.next()
        client.cancel()
        assert (await client.next())["params"] == {"requestId": wait["id"]}
        release = await client.next()
        assert release["method"] == "terminal/release"
        client.refuse(release, -32603, "lost it")
        assert (await client.next())["result"] == {"stopReason": "cancelled"}


async def kill(editor: Editor) -> None:
    async with editor.open_terminal("sleep", ["9"], "/w", {}, 1000) as terminal:
        await terminal.kill()


async def test_terminal_can_be_killed() -> None:
    async with connected(using(kill)) as client:
        await client.open({"terminal": True})
        client.reply(await asked(client), {"terminalId": "t1"})
        request = await client.next()
        assert request["method"] == "terminal/kill"
        client.reply(request, {})
        client.reply(await client.next(), {})
        assert await outcome(client) == "None"


@pytest.mark.parametrize(
    "answer", [None, {}, {"output": 5, "truncated": False}, {"exitStatus": {"exitCode": 1}}]
)
async def test_nonsense_about_a_terminal_fails_the_tool(answer: object) -> None:
    async with connected(using(run_command)) as client:
        await client.open({"terminal": True})
        client.reply(await asked(client), {"terminalId": "t1"})
        client.reply(await client.next(), {})
        client.reply(await client.next(), answer)
        client.reply(await client.next(), {})
        expected = "failed: the editor's answer to terminal/output has no text 'output'"
        assert await outcome(client) == expected


async def test_terminal_without_an_id_fails_the_tool() -> None:
    async with connected(using(run_command)) as client:
        await client.open({"terminal": True})
        client.reply(await asked(client), {})
        expected = "failed: the editor's answer to terminal/create has no text 'terminalId'"
        assert await outcome(client) == expected


async def test_answers_in_any_order_find_their_questions() -> None:
    async def both(editor: Editor) -> object:
        texts: dict[str, str] = {}

        async def read(path: str) -> None:
            texts[path] = await editor.read_text_file(path)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, "/a")
            tasks.start_soon(read, "/b")
        return sorted(texts.items())

    async with connected(using(both)) as client:
        await client.open({"fs": {"readTextFile": True}})
        client.prompt()
        first, second = await client.next(), await client.next()
        for request in (second, first):
            client.reply(request, {"content": f"text of {request['params']['path']}"})
        assert await outcome(client) == "[('/a', 'text of /a'), ('/b', 'text of /b')]"
