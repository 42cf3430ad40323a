"""What every backend does when its server is not ready; continues test_compliance.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acp_agent.backends.endpoint import Endpoint
from acp_agent.errors import (
    BackendError,
    EngineFailed,
    EngineUnavailable,
)
from acp_agent.ports import (
    EngineLoading,
)
from tests.backends.compliance import Dialect, Play, bench
from tests.backends.dialects import (
    HELLO,
    answer,
    every,
    text_of,
)
from tests.backends.stand_in import HASTE, LOADING
from tests.backends.stand_in import answer as response

pytestmark = pytest.mark.anyio


@every
@pytest.mark.parametrize(
    "busy",
    [response(503, {"error": "no replica is free"}), response(429, {"error": "slow down"}), b""],
    ids=["503", "429", "hung up"],
)
async def test_a_server_that_has_no_time_now_is_asked_again(dialect: Dialect, busy: bytes) -> None:
    async with bench(dialect, replace(HELLO, before=(busy, busy))) as there:
        events, _ = await answer(dialect.backend(there.endpoint))
    assert text_of(events) == "Hello there"
    assert len(there.answers) == 3


@every
@pytest.mark.parametrize(
    ("busy", "kind"),
    [
        (response(503, {"error": "no replica is free"}), EngineUnavailable),
        (response(429, {"error": "slow down"}), EngineFailed),
        (b"", EngineFailed),
    ],
    ids=["503", "429", "hung up"],
)
async def test_a_server_that_never_has_time_is_given_up(
    dialect: Dialect, busy: bytes, kind: type[BackendError]
) -> None:
    async with bench(dialect, Play(instead=busy)) as there:
        with pytest.raises(kind):
            await answer(dialect.backend(there.endpoint))
    assert len(there.answers) == 1 + len(HASTE.pauses)


@every
async def test_a_server_that_loads_its_model_is_waited_for_and_that_said_once(
    dialect: Dialect,
) -> None:
    loading = response(503, LOADING)
    async with bench(dialect, replace(HELLO, before=(loading,) * 5)) as there:
        events, _ = await answer(dialect.backend(there.endpoint))
    assert events[0] == EngineLoading("the server is loading its model")
    assert not [event for event in events[1:] if isinstance(event, EngineLoading)]
    assert text_of(events) == "Hello there"


@every
@pytest.mark.parametrize("status", [400, 500])
async def test_a_request_that_was_refused_is_not_made_again(dialect: Dialect, status: int) -> None:
    refused = response(status, {"error": {"message": "an unsupported guide"}})
    async with bench(dialect, Play(instead=refused)) as there:
        with pytest.raises(EngineFailed, match="an unsupported guide"):
            await answer(dialect.backend(there.endpoint))
    assert len(there.answers) == 1


@every
async def test_a_server_that_is_gone_is_unavailable(dialect: Dialect) -> None:
    backend = dialect.backend(Endpoint("http://127.0.0.1:9"))
    found = await backend.is_available()
    assert (found.state, "http://127.0.0.1:9" in found.reason) == ("unavailable", True)
    with pytest.raises(EngineUnavailable, match=r"http://127\.0\.0\.1:9"):
        await answer(backend)
    with pytest.raises(EngineUnavailable):
        await backend.list_models()
