"""Health, model lists and context sizes in the shapes of each server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.health import health
from acp_agent.backends.model_list import context_sizes, models
from acp_agent.ports import Availability, ModelInfo

READY = Availability("ready")
LOADING = Availability("loading", "the server is loading its model")
FIELDS = st.dictionaries(
    st.sampled_from(["status", "ready", "model_available", "error", "progress", "data", "models"]),
    st.none()
    | st.booleans()
    | st.text(max_size=9)
    | st.lists(st.dictionaries(st.text(), st.text())),
)


@pytest.mark.parametrize(
    ("status", "fields", "found"),
    [
        (200, {"status": "ok"}, READY),
        (200, {"status": "healthy"}, READY),
        (200, {"status": "ok", "model_available": True, "platform": "macOS"}, READY),
        (200, {"ready": True, "modelId": "apple-foundation-model"}, READY),
        (503, {"error": {"message": "Loading model", "code": 503}}, LOADING),
        (200, {"ready": False, "unavailableReason": "model_not_ready"}, LOADING),
        (200, {"status": "downloading", "progress": 0.4}, Availability("downloading", "", 0.4)),
        (200, {"status": "downloading", "progress": "?"}, Availability("downloading", "", None)),
        (
            200,
            {"status": "degraded", "model_available": False},
            Availability("unavailable", "the server says that its model is degraded"),
        ),
        (
            200,
            {"ready": False, "unavailableReason": "unsupported_hardware", "message": "No M1."},
            Availability("unavailable", "unsupported_hardware: No M1."),
        ),
        (200, {"status": "ok", "model_available": "maybe"}, "unavailable"),
        (500, {"status": "ok"}, "unavailable"),
        (500, {"error": "boom"}, Availability("unavailable", "boom")),
        (
            200,
            {"status": "model_unavailable", "model_available": False},  # apfel
            Availability("unavailable", "the server says that its model is model_unavailable"),
        ),
        (404, {"error": {"message": "Not found: GET /health"}}, None),
        (200, {"error": "Unexpected endpoint or method. (GET /health)"}, None),
        (200, [], None),
    ],
)
def test_health_is_read_in_each_shape(
    status: int, fields: object, found: Availability | str | None
) -> None:
    verdict = health(status, json.dumps(fields).encode())
    assert found == (verdict.state if isinstance(found, str) and verdict else verdict)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"data": [{"id": "a", "meta": {"n_ctx": 4096}}]}, [ModelInfo("a", "a", 4096)]),
        ({"data": [{"id": "a", "max_model_len": 8192}]}, [ModelInfo("a", "a", 8192)]),
        ([{"id": "a", "name": "A", "context_length": 1}], [ModelInfo("a", "A", 1)]),
        ({"data": [{"id": "a", "context_length": "8k"}, 7, {}, {"id": ""}]}, [ModelInfo("a", "a")]),
        ({"data": []}, []),
        ({"object": "list"}, None),
        ({"data": None}, None),
        ("text", None),
    ],
)
def test_models_are_read_in_each_shape(body: object, found: list[ModelInfo] | None) -> None:
    assert models(json.dumps(body).encode()) == found


LOADED = {"id": "i", "config": {"context_length": 9}}
LM_STUDIO: dict[str, Any] = {
    "models": [
        {"key": "k", "loaded_instances": [LOADED]},
        {"key": "unloaded", "loaded_instances": []},
    ]
}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"status": "ok", "context_window": 4096}, {"": 4096}),
        (LM_STUDIO, {"i": 9, "k": 9}),
        ({"context_window": -1}, {}),
        ({"context_window": True}, {}),
        ([], {}),
    ],
)
def test_context_sizes_are_read_in_each_shape(body: object, found: dict[str, int]) -> None:
    assert context_sizes(json.dumps(body).encode()) == found


@given(st.integers(200, 599), FIELDS)
def test_no_answer_breaks_the_reader(status: int, fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    health(status, body)
    models(body)
    context_sizes(body)


@given(st.binary(max_size=50))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    health(200, body)
    models(body)
    context_sizes(body)
