"""Input that is wrong in every way we could think of, with the answer that each gets."""

from __future__ import annotations

import json

from acp_agent.protocol.jsonrpc import Oversized
from tests.protocol.harness import Json

Answer = tuple[object, int, str]

DEEP = b'{"a":' * 100_000
BIG = b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 40_000_000 + b'"}'
BIG_GARBAGE = b"x" * 40_000_000

NOT_JSON = (None, -32700, "the message is not JSON")
NO_OBJECT = (None, -32600, "the message is not an object")
NO_BATCH = (None, -32600, "batches are not supported; send one object a line")
BAD_ID = (None, -32600, "id must be a string or a 64-bit integer")
NO_VERSION = 'jsonrpc must be "2.0"'
NO_METHOD = "method must be a string"


def line(**fields: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


ANSWERED: dict[str, tuple[bytes | Oversized, Answer]] = {
    "half an object": (b'{"jsonrpc": "2.0", "id": 1', NOT_JSON),
    "text": (b"hello", NOT_JSON),
    "trailing text": (b"{} {}", NOT_JSON),
    "single quotes": (b"{'jsonrpc': '2.0'}", NOT_JSON),
    "byte order mark": (b"\xef\xbb\xbf{}", NOT_JSON),
    "NaN": (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}', NOT_JSON),
    "Infinity": (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":-Infinity}}', NOT_JSON),
    "a number of 5000 digits": (b"[" + b"9" * 5000 + b"]", NOT_JSON),
    "HTTP": (b"POST / HTTP/1.1\r", NOT_JSON),
    "garbage of 40 MB": (BIG_GARBAGE, NOT_JSON),
    "not UTF-8": (b'{"jsonrpc":"2.0","method":"\xff"}', (None, -32700, "the message is not UTF-8")),
    "UTF-16": ("{}".encode("utf-16"), (None, -32700, "the message is not UTF-8")),
    "deep nesting": (DEEP, (None, -32700, "the message is nested too deeply")),
    "too long": (
        Oversized(64 * 1024 * 1024),
        (None, -32600, "the message is longer than 67108864 bytes"),
    ),
    "empty array": (b"[]", NO_BATCH),
    "batch": (b'[{"jsonrpc":"2.0","id":1,"method":"initialize"}]', NO_BATCH),
    "number": (b"42", NO_OBJECT),
    "string": (b'"x"', NO_OBJECT),
    "null": (b"null", NO_OBJECT),
    "true": (b"true", NO_OBJECT),
    "empty object": (b"{}", (None, -32600, NO_VERSION)),
    "another object": (b'{"foo":"bar"}', (None, -32600, NO_VERSION)),
    "version 1.0": (line(jsonrpc="1.0", id=5, method="x"), (5, -32600, NO_VERSION)),
    "version as a number": (line(jsonrpc=2.0, id="a", method="x"), ("a", -32600, NO_VERSION)),
    "no method": (line(id=5), (5, -32600, NO_METHOD)),
    "method null": (line(id=5, method=None), (5, -32600, NO_METHOD)),
    "method a list": (line(id=5, method=["x"]), (5, -32600, NO_METHOD)),
    "id null": (line(id=None, method="initialize"), BAD_ID),
    "id true": (line(id=True, method="initialize"), BAD_ID),
    "id a fraction": (line(id=1.5, method="initialize"), BAD_ID),
    "id an object": (line(id={}, method="initialize"), BAD_ID),
    "id beyond 64 bits": (line(id=2**63, method="initialize"), BAD_ID),
    "params a list": (
        line(id=7, method="initialize", params=[1]),
        (7, -32602, "params must be an object"),
    ),
    "params text": (
        line(id=7, method="initialize", params="x"),
        (7, -32602, "params must be an object"),
    ),
    "a method of 40 MB": (BIG, (1, -32601, "method not found")),
    "unknown method": (line(id=7, method="nope"), (7, -32601, "method not found")),
    "unknown extension": (
        line(id="e", method="_zed/x"),
        ("e", -32601, "method not found"),
    ),
    "unknown method of the protocol": (line(id=0, method="$/x"), (0, -32601, "method not found")),
    "wrong type": (
        line(id=7, method="initialize", params={"protocolVersion": "one"}),
        (7, -32602, "initialize: protocolVersion must be an integer from 0 to 65535"),
    ),
}

UNANSWERED: dict[str, bytes] = {
    "blank": b"",
    "white space": b" \t\r",
    "unknown notification": line(method="nope"),
    "unknown extension notification": line(method="_x/y", params={"a": 1}),
    "notification with params a list": line(method="session/cancel", params=[1]),
    "cancel without a session": line(method="session/cancel"),
    "cancel request without an id": line(method="$/cancel_request"),
    "answer that nobody waits for": line(id=99, result={}),
    "error that nobody waits for": line(id=99, error={"code": 1, "message": "x"}),
    "answer without an id": line(result={}),
    "answer with id null": line(id=None, error={"code": -32600, "message": "x"}),
    "answer with result and error": line(id=99, result={}, error={}),
    "answer of no version": b'{"id":99,"result":{}}',
}


def answer(frame: Json) -> Answer:
    return frame["id"], frame["error"]["code"], frame["error"]["message"]
