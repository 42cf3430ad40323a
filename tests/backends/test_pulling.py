"""Downloads that LM Studio does, in the shapes of its documentation; Ollama has its own tests."""

from __future__ import annotations

import anyio
import pytest

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.lmstudio_library import LmStudioLibrary
from acp_agent.backends.pulling import make_puller
from acp_agent.errors import BackendError, ConfigError, EngineFailed, EngineMismatch
from acp_agent.ports import Availability
from tests.backends.stand_in import ONCE, StandIn, answer, stand_in

pytestmark = pytest.mark.anyio

MODEL = "openai/gpt-oss-20b"
JOB = {"job_id": "job_1", "status": "downloading", "total_size_bytes": 1000}


def status(done: int, state: str = "downloading") -> bytes:
    return answer(200, {**JOB, "status": state, "downloaded_bytes": done})


async def pulled(there: StandIn) -> list[Availability]:
    library = LmStudioLibrary(fixed(there.endpoint), pause=0.0, patience=ONCE)
    with anyio.fail_after(10):
        async with library.pull(MODEL) as states:
            return [state async for state in states]


async def test_a_download_is_followed_until_it_is_done() -> None:
    async with stand_in(
        answer(200, JOB), status(250), status(250, "paused"), status(1000, "completed")
    ) as there:
        assert await pulled(there) == [
            Availability("downloading", "downloading", 0.0),
            Availability("downloading", "downloading", 0.25),
            Availability("downloading", "paused", 0.25),
            Availability("ready"),
        ]
    assert there.bodies[0] == {"model": MODEL}
    assert [asked.split()[:2] for asked in there.asked] == [
        ["POST", "/api/v1/models/download"],
        *[["GET", "/api/v1/models/download/status/job_1"]] * 3,
    ]


async def test_what_is_there_already_is_ready_at_once() -> None:
    async with stand_in(answer(200, {"status": "already_downloaded"})) as there:
        assert await pulled(there) == [Availability("ready")]


@pytest.mark.parametrize(
    ("replies", "kind", "message"),
    [
        ([answer(200, JOB), status(1, "failed")], EngineFailed, "cannot download 'openai/gpt-oss"),
        ([answer(200, {"status": "downloading"})], EngineMismatch, "a download the status"),
        ([answer(200, {"status": 7})], EngineMismatch, "a download the status 7"),
        ([answer(200, "[]")], EngineMismatch, "a download the status None"),
        ([answer(404, {"error": {"message": "no such model"}})], BackendError, "no such model"),
    ],
)
async def test_what_goes_wrong_is_told_in_lm_studios_words(
    replies: list[bytes], kind: type[BackendError], message: str
) -> None:
    async with stand_in(*replies) as there:
        with pytest.raises(kind, match=message):
            await pulled(there)


async def test_only_those_who_download_are_pullers() -> None:
    with pytest.raises(ConfigError, match="vllm downloads no models; ollama and lmstudio do"):
        make_puller("vllm", {})
