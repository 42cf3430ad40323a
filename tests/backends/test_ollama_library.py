"""Ollama's models: list, load, unload and pull; the shapes are those of ollama_dialect.py."""

from __future__ import annotations

import anyio
import pytest

from acp_agent.conversation import ModelRequest, UserMessage
from acp_agent.errors import BackendError, EngineFailed, EngineMismatch, StreamDropped
from acp_agent.ports import Availability, ModelInfo
from tests.backends.ollama_dialect import MODEL, SHOWN, backend, line, stream, tags
from tests.backends.stand_in import StandIn, answer, stand_in

pytestmark = pytest.mark.anyio

SHOW = answer(200, SHOWN)
HI = ModelRequest([UserMessage("hi")])


async def test_the_models_are_listed_with_the_context_of_the_one_in_use() -> None:
    async with stand_in(SHOW, tags(MODEL, "qwen3:4b")) as there:
        model = backend(there)
        await model.context_size()
        assert await model.list_models() == [
            ModelInfo(MODEL, MODEL, 131_072),
            ModelInfo("qwen3:4b", "qwen3:4b"),
        ]


async def test_loading_asks_for_the_context_of_later_requests_and_unloading_lets_go() -> None:
    done = {"model": MODEL, "response": "", "done": True}
    loaded = answer(200, {**done, "done_reason": "load"})
    unloaded = answer(200, {**done, "done_reason": "unload"})
    async with stand_in(SHOW, loaded, loaded, unloaded) as there:
        model = backend(there, context=8192)
        await model.load()
        await model.prefill(HI)
        await model.unload()
    wanted = {"model": MODEL, "keep_alive": "10m", "options": {"num_ctx": 8192}, "stream": False}
    assert there.bodies[1:] == [
        wanted,
        wanted,
        {"model": MODEL, "keep_alive": 0, "stream": False},
    ]
    assert [asked.split()[1] for asked in there.asked[1:]] == ["/api/generate"] * 3


async def test_a_load_that_fails_gives_ollamas_own_words() -> None:
    async with stand_in(SHOW, answer(500, {"error": "no space"})) as there:
        with pytest.raises(EngineFailed, match="no space"):
            await backend(there).load()


async def pulled(there: StandIn) -> list[Availability]:
    with anyio.fail_after(10):
        async with backend(there).pull(MODEL) as states:
            return [state async for state in states]


async def test_pulling_tells_how_far_it_is_and_never_goes_back() -> None:
    first, second = {"digest": "sha256:aa", "total": 800}, {"digest": "sha256:bb", "total": 200}
    async with stand_in(
        stream(
            line({"status": "pulling manifest"}),
            line({"status": "pulling aa", **first}),
            line({"status": "pulling aa", **first, "completed": 400}),
            line({"status": "pulling bb", **second}),
            line({"status": "pulling aa", **first, "completed": 800}),
            line({"status": "pulling bb", **second, "completed": 200}),
            line({"status": "verifying sha256 digest"}),
            line({"status": "success"}),
        )
    ) as there:
        assert await pulled(there) == [
            Availability("downloading", "pulling manifest", 0.0),
            Availability("downloading", "pulling aa", 0.0),
            Availability("downloading", "pulling aa", 0.5),
            Availability("downloading", "pulling bb", 0.5),
            Availability("downloading", "pulling aa", 0.8),
            Availability("downloading", "pulling bb", 1.0),
            Availability("downloading", "verifying sha256 digest", 1.0),
            Availability("ready"),
        ]
    assert there.bodies == [{"model": MODEL, "stream": True}]


@pytest.mark.parametrize(
    ("sent", "kind", "words"),
    [
        (
            stream(line({"error": "pull model manifest: file does not exist"})),
            EngineFailed,
            "exist",
        ),
        (answer(500, {"error": "no such host"}), EngineFailed, "no such host"),
        (stream(line({"status": "pulling manifest"})), StreamDropped, "without saying"),
        (stream(complete=False), StreamDropped, "broke off"),
        (stream(line("<html>\n")), EngineMismatch, "something else than JSON"),
        (answer(404, "404 page not found"), EngineMismatch, "HTTP 404"),
    ],
)
async def test_a_pull_that_fails_says_why(
    sent: bytes, kind: type[BackendError], words: str
) -> None:
    async with stand_in(sent) as there:
        with pytest.raises(kind, match=words):
            await pulled(there)
