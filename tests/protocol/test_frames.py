"""The decoder and the line splitter, for all input: they never raise, and pieces do not matter."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acp_agent.errors import RpcError
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.jsonrpc import (
    Ignored,
    Malformed,
    Notification,
    Oversized,
    Request,
    Response,
)
from acp_agent.protocol.lines import LineSplitter
from tests.protocol.harness import Json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers() | st.text() | JSON,
        "method": st.text() | JSON,
        "params": st.dictionaries(st.text(), JSON) | JSON,
        "result": JSON,
        "error": st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON}) | JSON,
    },
)
KINDS = (Request, Notification, Response, Malformed, Ignored)


@given(st.binary())
@example(b'"\\ud800"')
def test_any_bytes_are_some_frame(line: bytes) -> None:
    assert isinstance(jsonrpc.decode(line), KINDS)


@given(ENVELOPES)
def test_any_envelope_is_some_frame_and_what_is_said_about_it_is_one_line(envelope: Json) -> None:
    frame = jsonrpc.decode(json.dumps(envelope).encode())
    assert isinstance(frame, KINDS)
    if isinstance(frame, Malformed):
        sent = json.loads(jsonrpc.failure(frame.id, frame.error))
        assert sent["id"] in (envelope.get("id"), None)
        assert "\n" not in sent["error"]["message"]


@given(st.integers(-(2**63), 2**63 - 1) | st.text(), st.text(), st.dictionaries(st.text(), JSON))
def test_request_comes_back_as_sent(request_id: int | str, method: str, params: Json) -> None:
    line = jsonrpc.request(request_id, method, params)
    assert line.count(b"\n") == 1
    sent = json.loads(line)
    frame = jsonrpc.decode(line)
    assert frame == Request(sent["id"], sent["method"], sent["params"])


@given(JSON)
def test_any_value_can_be_sent(value: object) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(jsonrpc.success(1, value), parse_constant=refuse)


def test_value_that_json_does_not_know_is_sent_as_text() -> None:
    assert json.loads(jsonrpc.success(1, {"error": ValueError("x")}))["result"] == {"error": "x"}


def test_error_without_data_carries_none() -> None:
    assert json.loads(jsonrpc.failure(None, RpcError(-32700, "no"))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32700, "message": "no"},
    }


BROKEN: dict[str, Json] = {
    "no version": {"id": 1, "result": {}},
    "both": {"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": ""}},
    "error is text": {"jsonrpc": "2.0", "id": 1, "error": "no"},
    "no code": {"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}},
}


@pytest.mark.parametrize("frame", BROKEN.values(), ids=BROKEN)
def test_broken_answer_is_an_error_for_who_waits_for_it(frame: Json) -> None:
    answer = jsonrpc.decode(json.dumps(frame).encode())
    assert isinstance(answer, Response)
    assert answer.id == 1
    assert answer.error is not None
    assert answer.error.code == -32600


@given(st.binary(), st.lists(st.integers(0, 60)))
def test_pieces_do_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = LineSplitter(limit=20)
    expected = whole.feed(data) + whole.finish()
    pieces = LineSplitter(limit=20)
    lines: list[bytes | Oversized] = []
    last = 0
    for cut in sorted(cuts):
        lines += pieces.feed(data[last:cut])
        last = max(last, cut)
    lines += pieces.feed(data[last:]) + pieces.finish()
    assert lines == expected
    kept = [line for line in data.split(b"\n") if line.strip() or len(line) > 20]
    assert lines == [Oversized(20) if len(line) > 20 else line for line in kept]


def test_line_that_is_too_long_is_not_held() -> None:
    splitter = LineSplitter(limit=1000)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
    held: list[bytes] = splitter._parts  # pyright: ignore[reportPrivateUsage]  # the fact itself
    assert sum(map(len, held)) <= 1000
    assert splitter.feed(b'x\n{"next":1}\n') == [Oversized(1000), b'{"next":1}']
