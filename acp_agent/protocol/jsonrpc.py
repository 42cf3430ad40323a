"""Bytes to JSON-RPC 2.0 frames and back; strict about what comes in, and it never raises.

Pure and light: the first answers of the process are made with it, before anything else is loaded.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, cast

from acp_agent.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError

Id = int | str
Object = dict[str, Any]


class Request(NamedTuple):
    """Wants an answer under `id`."""

    id: Id
    method: str
    params: Object


class Notification(NamedTuple):
    """Wants no answer, whatever becomes of it."""

    method: str
    params: Object


class Response(NamedTuple):
    """Answers a request of ours; `error` is None on success."""

    id: Id | None
    result: Any
    error: RpcError | None


class Malformed(NamedTuple):
    """Not a frame; `error` goes back under `id`, or under null when there is no usable one."""

    id: Id | None
    error: RpcError


class Ignored(NamedTuple):
    """Broken, and of a kind that must not be answered; `reason` is for the log."""

    reason: str


class Oversized(NamedTuple):
    """A line that was thrown away unread because it grew beyond `limit` bytes."""

    limit: int


Frame = Request | Notification | Response | Malformed | Ignored


def decode(line: bytes | Oversized) -> Frame:
    """Read one line; unpaired surrogates in strings become U+FFFD, as no text can hold them."""
    if isinstance(line, Oversized):
        return _refused(f"the message is longer than {line.limit} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return _refused("the message is not UTF-8", code=PARSE_ERROR)
    try:
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            value = _paired(value)
    except RecursionError:
        return _refused("the message is nested too deeply", code=PARSE_ERROR)
    except ValueError:
        return _refused("the message is not JSON", code=PARSE_ERROR)
    if isinstance(value, list):
        return _refused("batches are not supported; send one object a line")
    if not isinstance(value, dict):
        return _refused("the message is not an object")
    return _frame(cast("Object", value))


def encode(frame: Object) -> bytes:
    """Return the frame as one line, newline included; NaN and infinities become null."""
    try:
        text = _ENCODER.encode(frame)
    except ValueError:
        text = _ENCODER.encode(_finite(frame))
    return text.encode("utf-8", "replace") + b"\n"


def request(request_id: Id, method: str, params: Object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: Object) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def success(request_id: Id, result: object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def failure(request_id: Id | None, error: RpcError) -> bytes:
    body: Object = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return encode({"jsonrpc": "2.0", "id": request_id, "error": body})


# ---------------------------------------------------------------- the envelope


def _frame(value: Object) -> Frame:
    request_id = value.get("id")
    usable: Id | None = request_id if _is_id(request_id) else None
    if "method" not in value and ("result" in value or "error" in value):
        return _response(value, usable)
    if value.get("jsonrpc") != "2.0":
        return _refused('jsonrpc must be "2.0"', usable)
    method = value.get("method")
    if not isinstance(method, str):
        return _refused("method must be a string", usable)
    if "id" in value and usable is None:
        return _refused("id must be a string or a 64-bit integer")
    params = value.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        if usable is None:
            return Ignored("params of a notification must be an object")
        return _refused("params must be an object", usable, INVALID_PARAMS)
    if usable is None:
        return Notification(method, cast("Object", params))
    return Request(usable, method, cast("Object", params))


def _response(value: Object, request_id: Id | None) -> Response | Ignored:
    # Answering a broken answer could go back and forth for ever; whoever waits for it is told.
    if request_id is None:
        return Ignored("an answer without a usable id")
    if value.get("jsonrpc") != "2.0" or ("result" in value) == ("error" in value):
        return Response(request_id, None, RpcError(INVALID_REQUEST, "the answer is not JSON-RPC"))
    if "error" not in value:
        return Response(request_id, value["result"], None)
    body = value["error"]
    code = cast("Object", body).get("code") if isinstance(body, dict) else None
    if not isinstance(code, int) or isinstance(code, bool):
        return Response(request_id, None, RpcError(INVALID_REQUEST, "the error has no code"))
    error = cast("Object", body)
    message = str(error.get("message") or "no message")
    return Response(request_id, None, RpcError(code, message, error.get("data")))


def _refused(message: str, request_id: Id | None = None, code: int = INVALID_REQUEST) -> Malformed:
    return Malformed(request_id, RpcError(code, message))


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


# ---------------------------------------------------------------- JSON, stricter than Python's


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _paired(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_paired(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_paired(k): _paired(v) for k, v in cast("Object", value).items()}
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in cast("Object", value).items()}
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
