"""The rules that a turn obeys at the edge, each as a test (what editors break on otherwise)."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from acp_agent.conversation import UserMessage
from acp_agent.events import Emit, StopReason, TextDelta, ToolCallUpdated
from acp_agent.ports import Editor, PermissionOption
from acp_agent.protocol.connection import MAX_IN_FLIGHT
from tests.protocol.harness import Client, Json, connected, updates

pytestmark = pytest.mark.anyio

CANCELLED = {"stopReason": "cancelled"}


async def wait_for_ever(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
    """Say the prompt back, then never end, unless the prompt is `quick`; say so at the end."""
    await emit(TextDelta("m", message.text))
    try:
        if message.text != "quick":
            await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await emit(TextDelta("m", f"end of {message.text}"))
    return "end_turn"


def told(frames: list[Json]) -> list[object]:
    """Return the frames in short: texts, and answers as (id, result or error code)."""
    short: list[object] = []
    for frame in frames:
        if "method" in frame:
            short.append(frame["params"]["update"]["content"]["text"])
        elif "error" in frame:
            short.append((frame["id"], frame["error"]["code"]))
        else:
            short.append((frame["id"], frame["result"].get("stopReason")))
    return short


async def begun(client: Client, text: str) -> int:
    """Send a prompt and wait until its turn runs."""
    request = client.prompt(text)
    assert told([await client.next()]) == [text]
    return request


async def test_cancel_in_mid_stream_flushes_updates_then_answers_cancelled_then_is_silent() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        request = await begun(client, "long")
        client.cancel()
        frames = await client.until_answer(request)
        assert told(frames) == ["end of long", (request, "cancelled")]
        await client.silence()


async def test_cancel_that_arrives_with_its_prompt_is_not_too_early() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        request = client.prompt("long")
        client.cancel()
        assert (await client.until_answer(request))[-1]["result"] == CANCELLED


async def test_cancel_while_the_core_is_still_being_made_answers_cancelled() -> None:
    making = anyio.Event()

    async def never() -> None:
        making.set()
        await anyio.sleep_forever()

    async with connected(prepare=never) as client:
        await client.open()
        request = client.prompt()
        with anyio.fail_after(5):
            await making.wait()
        client.cancel()
        assert told(await client.until_answer(request)) == [(request, "cancelled")]
        assert client.sessions == []


async def test_cancel_without_a_turn_is_ignored_and_spoils_no_later_prompt() -> None:
    async with connected() as client:
        await client.open()
        client.cancel()
        client.tell("session/cancel", {"sessionId": "nope"})
        client.tell("session/cancel", {"sessionId": 5})
        client.tell("session/cancel", {})
        frames = await client.until_answer(client.prompt())
        assert frames[-1]["result"] == {"stopReason": "end_turn"}


async def test_prompt_works_after_a_cancel() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        request = await begun(client, "long")
        client.cancel()
        await client.until_answer(request)
        request = client.prompt("quick")
        assert told(await client.until_answer(request)) == [
            "quick",
            "end of quick",
            (request, "end_turn"),
        ]


async def test_prompt_during_a_turn_cancels_it_and_runs_after_its_answer() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        first = await begun(client, "long")
        second = client.prompt("quick")
        assert told(await client.until_answer(second)) == [
            "end of long",
            (first, "cancelled"),
            "quick",
            "end of quick",
            (second, "end_turn"),
        ]
        await client.silence()


async def test_only_the_last_of_many_overlapping_prompts_runs() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        requests = [client.prompt("long"), client.prompt("longer"), client.prompt("quick")]
        frames = await client.until_answer(requests[2])
        answers = {f["id"]: f["result"]["stopReason"] for f in frames if "id" in f}
        assert answers == dict(zip(requests, ["cancelled", "cancelled", "end_turn"], strict=True))


async def test_cancel_ends_the_running_turn_and_the_one_that_waits() -> None:
    release = anyio.Event()

    async def slow_to_end(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        await emit(TextDelta("m", message.text))
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await release.wait()
        return "end_turn"

    async with connected(slow_to_end) as client:
        await client.open()
        first = await begun(client, "one")
        second = client.prompt("two")
        client.cancel()
        assert told([await client.next()]) == [(second, "cancelled")]
        release.set()
        assert told([await client.next()]) == [(first, "cancelled")]


async def test_two_sessions_run_at_once() -> None:
    meeting = anyio.Event()

    async def meet(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        if message.text == "first":
            with anyio.fail_after(5):
                await meeting.wait()
        meeting.set()
        return "end_turn"

    async with connected(meet) as client:
        one, two = await client.open(), await client.open()
        first = client.prompt("first", one)
        second = client.prompt("second", two)
        assert told([await client.next(), await client.next()]) == [
            (second, "end_turn"),
            (first, "end_turn"),
        ]


async def test_cancel_of_one_session_leaves_the_other_running() -> None:
    async with connected(wait_for_ever) as client:
        one, two = await client.open(), await client.open()
        first = client.prompt("first", one)
        await client.next()
        second = client.prompt("second", two)
        await client.next()
        client.tell("session/cancel", {"sessionId": one})
        assert told(await client.until_answer(first))[-1] == (first, "cancelled")
        client.tell("session/cancel", {"sessionId": two})
        assert told(await client.until_answer(second))[-1] == (second, "cancelled")


async def test_cancel_request_on_a_prompt_answers_cancelled() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        request = await begun(client, "long")
        client.tell("$/cancel_request", {"requestId": request})
        assert told(await client.until_answer(request)) == ["end of long", (request, "cancelled")]


@pytest.mark.parametrize("request_id", [99, "x", None, 1.5, True, [], {}])
async def test_cancel_request_for_nothing_is_ignored(request_id: object) -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        await begun(client, "long")
        client.tell("$/cancel_request", {"requestId": request_id})
        await client.silence()


async def test_close_in_mid_turn_answers_cancelled_and_then_the_close() -> None:
    async with connected(wait_for_ever) as client:
        session = await client.open()
        request = await begun(client, "long")
        close = client.ask("session/close", {"sessionId": session})
        assert told(await client.until_answer(close)) == [
            "end of long",
            (request, "cancelled"),
            (close, None),
        ]
        assert client.sessions[0].closed
        error = await client.error("session/close", {"sessionId": session})
        assert error == (-32602, "session/close: sessionId names no open session")


async def test_close_before_any_prompt_is_answered() -> None:
    async with connected() as client:
        session = await client.open()
        assert await client.result("session/close", {"sessionId": session}) == {}
        params = {"sessionId": session, "prompt": [{"type": "text", "text": "x"}]}
        assert (await client.error("session/prompt", params))[0] == -32602


async def test_cancel_request_on_a_close_answers_with_an_error() -> None:
    async with connected() as client:
        session = await client.open()
        await client.silence()
        stuck = anyio.Event()

        async def never() -> None:
            stuck.set()
            await anyio.sleep_forever()

        client.sessions[0].close = never
        close = client.ask("session/close", {"sessionId": session})
        with anyio.fail_after(5):
            await stuck.wait()
        client.tell("$/cancel_request", {"requestId": close})
        assert told(await client.until_answer(close)) == [(close, -32800)]


async def test_a_session_is_freed_though_nobody_waits_for_its_close() -> None:
    let_go, freed = anyio.Event(), anyio.Event()

    async def slow_end(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        await emit(TextDelta("m", message.text))
        with anyio.CancelScope(shield=True):
            await let_go.wait()
        return "end_turn"

    async def free() -> None:
        freed.set()

    async with connected(slow_end) as client:
        session = await client.open()
        request = await begun(client, "long")
        client.sessions[0].close = free
        close = client.ask("session/close", {"sessionId": session})
        await client.silence()
        client.tell("$/cancel_request", {"requestId": close})
        assert told(await client.until_answer(close)) == [(close, -32800)]
        let_go.set()
        assert told(await client.until_answer(request)) == [(request, "end_turn")]
        with anyio.fail_after(5):
            await freed.wait()


async def ask_permission(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
    yes = PermissionOption("y", "Yes", "allow_once")
    no = PermissionOption("n", "No", "reject_once")
    call = ToolCallUpdated("c1", title="rm x", kind="execute", status="pending", raw_input={"a": 1})
    chosen = await editor.request_permission(call, [yes, no])
    await emit(TextDelta("m", f"chose {chosen}"))
    return "end_turn"


async def test_cancel_while_the_user_is_asked_withdraws_the_question() -> None:
    async with connected(ask_permission) as client:
        await client.open()
        request = client.prompt()
        question = await client.next()
        client.cancel()
        assert await client.next() == {
            "jsonrpc": "2.0",
            "method": "$/cancel_request",
            "params": {"requestId": question["id"]},
        }
        assert told(await client.until_answer(request)) == [(request, "cancelled")]
        client.reply(question, {"outcome": {"outcome": "cancelled"}})  # late, as clients are
        await client.silence()


async def test_update_after_the_end_of_a_turn_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    emits: list[Emit] = []

    async def keep(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        emits.append(emit)
        return "end_turn"

    async with connected(keep) as client:
        await client.open()
        await client.until_answer(client.prompt())
        await emits[0](TextDelta("m", "late"))
        await client.silence()
    assert "dropped an update that came after the turn's end" in caplog.text


async def test_id_of_a_running_request_cannot_be_used_again() -> None:
    async with connected(wait_for_ever) as client:
        session = await client.open()
        request = await begun(client, "long")
        again: Json = {"jsonrpc": "2.0", "id": request, "method": "session/close"}
        client.send({**again, "params": {"sessionId": session}})
        answer = await client.next()
        assert (answer["id"], answer["error"]["code"]) == (request, -32600)
        client.send({"jsonrpc": "2.0", "id": request, "method": "session/prompt"})
        client.cancel()
        await client.next()


async def test_requests_in_flight_are_bounded() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        sessions = [await client.open() for _ in range(MAX_IN_FLIGHT)]
        for session in sessions:
            client.prompt("long", session)
        await anyio.wait_all_tasks_blocked()
        refused = client.prompt("long", sessions[0])
        answer = (await client.until_answer(refused))[-1]
        assert answer["error"]["code"] == -32603
        client.cancel()
        frames: list[Any] = [await client.next()]
        while "result" not in frames[-1]:
            frames.append(await client.next())
        assert frames[-1]["result"] == CANCELLED


async def test_prompt_anywhere_stops_warming_and_the_last_to_run_is_warmed_again() -> None:
    warming = anyio.Event()

    async def never(emit: Emit) -> None:
        warming.set()
        await anyio.sleep_forever()

    async with connected() as client:
        one, two = await client.open(), await client.open()
        await client.silence()
        await client.until_answer(client.prompt(session_id=one))
        await client.silence()
        by_id = {session.opened.id: session for session in client.sessions}
        assert (by_id[one].warmed, by_id[two].warmed) == (2, 1)
        by_id[two].prewarm = never
        await client.until_answer(client.prompt(session_id=two))
        with anyio.fail_after(5):
            await warming.wait()
        frames = await client.until_answer(client.prompt(session_id=two))
        assert frames[-1]["result"] == {"stopReason": "end_turn"}
        assert updates(frames) != []


async def test_failure_of_warming_is_logged_and_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(emit: Emit) -> None:
        raise ZeroDivisionError

    async with connected() as client:
        await client.open()
        await client.silence()
        client.sessions[0].prewarm = fail
        await client.until_answer(client.prompt())
        frames = await client.until_answer(client.prompt())
        assert frames[-1]["result"] == {"stopReason": "end_turn"}
    assert "background work failed" in caplog.text


async def test_hang_up_in_mid_turn_cancels_it_answers_and_closes_the_session() -> None:
    async with connected(wait_for_ever) as client:
        await client.open()
        request = await begun(client, "long")
        client.hang_up()
        assert told(await client.until_answer(request)) == ["end of long", (request, "cancelled")]
    assert client.sessions[0].closed


async def test_hang_up_while_the_user_is_asked_ends_the_turn() -> None:
    async with connected(ask_permission) as client:
        await client.open()
        client.prompt()
        await client.next()
        client.hang_up()
    assert client.sessions[0].closed
