"""What every backend does when it is to be held to a choice; continues test_compliance.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio
import pytest

from acp_agent.backends.endpoint import Endpoint
from acp_agent.errors import (
    EngineFailed,
)
from acp_agent.ports import (
    LocalModelBackend,
)
from tests.backends.compliance import Dialect, Play, bench
from tests.backends.dialects import (
    HELLO,
    WITH_TOOL,
    choosing,
    every,
)

pytestmark = pytest.mark.anyio

DECISION = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "enum": ["inline", "delegate"]},
        "reason": {"type": "string", "maxLength": 60},
    },
    "required": ["decision", "reason"],
}
CYCLIC = {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"next": {"$ref": "#/$defs/a"}}}}}


@every
def test_a_backend_says_whether_it_can_be_held_to_a_choice(dialect: Dialect) -> None:
    backend = dialect.backend(Endpoint("http://127.0.0.1:9"))
    assert (backend.chooser is not None) == dialect.chooses


async def choice(backend: LocalModelBackend, schema: Mapping[str, object] = DECISION) -> object:
    assert backend.chooser is not None
    with anyio.fail_after(10):
        return await backend.chooser.choose(replace(WITH_TOOL, max_tokens=110), schema)


@choosing
async def test_a_choice_is_an_object_of_its_schema(dialect: Dialect) -> None:
    said = ('{"decision": "dele', 'gate", "reason": "it is code"}')
    async with bench(dialect, Play(text=said)) as there:
        found = await choice(dialect.backend(there.endpoint))
    assert found == {"decision": "delegate", "reason": "it is code"}
    [asked] = there.answers
    assert dialect.allowed(asked) == ["inline", "delegate"]
    assert "tools" not in asked.body


@choosing
@pytest.mark.parametrize(
    "play",
    [
        Play(text=('{"decision": "maybe", "reason": "who knows"}',)),
        Play(text=('{"decision": "inline"}',)),
        Play(text=('["inline"]',)),
        Play(text=("I would delegate.",)),
        Play(text=('{"decision": "inline", "reason": "it is, as we all kn',), ending="limit"),
        Play(text=('{"decision": "inline", "reason": "short"}',), ending="limit"),
    ],
    ids=["none of the values", "incomplete", "no object", "no JSON", "cut", "cut after its end"],
)
async def test_what_is_no_whole_choice_is_a_failure(dialect: Dialect, play: Play) -> None:
    async with bench(dialect, play) as there:
        with pytest.raises(EngineFailed, match=r"choice|chose"):
            await choice(dialect.backend(there.endpoint))


@choosing
async def test_a_schema_that_refers_to_itself_never_reaches_the_server(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        with pytest.raises(ValueError, match="refers to itself"):
            await choice(dialect.backend(there.endpoint), CYCLIC)
    assert there.questions == there.answers == []


@choosing
async def test_cancelling_a_choice_hangs_up(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=('{"decision": ',), ending="hang")) as there:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(choice, dialect.backend(there.endpoint))
                await there.asked.wait()
                group.cancel_scope.cancel()
            await there.left.wait()
