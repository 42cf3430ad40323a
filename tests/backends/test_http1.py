"""HTTP as bytes: what is framed comes out, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.http1 import Chunks, NotHttp


@given(st.lists(st.binary(min_size=1)), st.data())
def test_chunks_come_out_whole_however_they_are_cut(
    pieces: list[bytes], data: st.DataObject
) -> None:
    framed = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    framed += b"0\r\nTrailer: x\r\n\r\n"
    chunks, found, at = Chunks(), b"", 0
    while at < len(framed):
        end = data.draw(st.integers(at + 1, len(framed)))
        assert not chunks.ended or framed[at:] in b"\r\nTrailer: x\r\n\r\n"
        found += chunks.feed(framed[at:end])
        at = end
    assert (found, chunks.ended) == (b"".join(pieces), True)


@given(st.binary())
def test_any_bytes_are_chunks_or_refused(data: bytes) -> None:
    try:
        assert len(Chunks().feed(data)) <= len(data)
    except NotHttp:
        return


@pytest.mark.parametrize("line", [b"-5\r\n", b"0x5\r\n", b"\r\n", b"five\r\n", b"1_0\r\n"])
def test_a_chunk_size_must_be_hexadecimal(line: bytes) -> None:
    with pytest.raises(NotHttp):
        Chunks().feed(line)


def test_a_chunk_size_that_never_ends_is_refused() -> None:
    with pytest.raises(NotHttp):
        Chunks().feed(b"0" * 100_000)
