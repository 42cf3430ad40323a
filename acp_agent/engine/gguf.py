"""A writer of GGUF files, as much of it as nano needs; the reader of headers is `harmony.gguf`.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, little endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

F32, F16 = 0, 1
ALIGNMENT = 32

_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

Value = str | bool | int | float | Sequence[bytes] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """`data` in row-major order for `shape`, whose last dimension is the contiguous one."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: bytes | bytearray


def gguf_chunks(metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> Iterator[bytes]:
    """Yield the file in pieces.

    An int becomes uint32, a float float32; a sequence becomes an array of strings or of int32, as
    its first item says.
    """
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        head += [_string(key.encode()), _value(value)]
    offset = 0
    for tensor in tensors:
        head.append(_tensor_info(tensor, offset))
        offset += len(tensor.data) + _padding(len(tensor.data))
    header = b"".join(head)
    yield header + bytes(_padding(len(header)))
    for tensor in tensors:
        yield bytes(tensor.data)
        yield bytes(_padding(len(tensor.data)))


def _tensor_info(tensor: Tensor, offset: int) -> bytes:
    dimensions = tuple(reversed(tensor.shape))
    form = f"<I{len(dimensions)}QIQ"
    numbers = struct.pack(form, len(dimensions), *dimensions, tensor.kind, offset)
    return _string(tensor.name.encode()) + numbers


def _value(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _string(value.encode())
        case _:
            return _array(value)


def _array(items: Sequence[bytes] | Sequence[int]) -> bytes:
    strings = [item for item in items if isinstance(item, bytes)]
    if strings:
        return struct.pack("<IIQ", _ARRAY, _STRING, len(strings)) + b"".join(map(_string, strings))
    numbers = [item for item in items if isinstance(item, int)]
    form = f"<IIQ{len(numbers)}i"
    return struct.pack(form, _ARRAY, _INT32, len(numbers), *numbers)


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _padding(size: int) -> int:
    return -size % ALIGNMENT
