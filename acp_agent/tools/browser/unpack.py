"""A compressed body unpacked piece by piece, never into more than was asked for (gzip bombs)."""

from __future__ import annotations

import zlib
from typing import Protocol

ENCODINGS = ("gzip", "deflate")


class Inflater(Protocol):
    """What `zlib.decompressobj` returns."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Unpacker:
    """Collects at most `limit` bytes in `data`; `full` says that there were more.

    Raises ValueError for what is packed in an unknown or a wrong way.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self.data = bytearray()
        self.full = False
        self._limit = limit
        self._encoding = encoding.strip().lower().removeprefix("x-")
        if self._encoding not in ("", "identity", *ENCODINGS):
            raise ValueError(f"the body is packed as {encoding!r}, which was not asked for")
        self._inflater = self._begin()

    def feed(self, data: bytes) -> None:
        """Take the next bytes as they came over the wire."""
        if self._inflater is None:
            self._add(data)
            return
        try:
            self._inflate(data)
        except zlib.error as error:
            raise ValueError(f"the body is not {self._encoding} ({error})") from None

    def _inflate(self, data: bytes) -> None:
        while data and not self.full:
            inflater = self._inflater
            assert inflater is not None
            try:
                self._add(inflater.decompress(data, self._limit + 1 - len(self.data)))
            except zlib.error:
                # Some servers send deflate without the zlib header that the name stands for.
                if self._encoding != "deflate" or self.data:
                    raise
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
                self._encoding = "deflate without a header"
                continue
            data = inflater.unconsumed_tail
            if inflater.eof:  # a gzip file may be several
                data, self._inflater = inflater.unused_data, self._begin()

    def _add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self._limit:
            del self.data[self._limit :]
            self.full = True

    def _begin(self) -> Inflater | None:
        match self._encoding:
            case "gzip":
                return zlib.decompressobj(16 + zlib.MAX_WBITS)
            case "deflate":
                return zlib.decompressobj()
            case "deflate without a header":
                return zlib.decompressobj(-zlib.MAX_WBITS)
            case _:
                return None
