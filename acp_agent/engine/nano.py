"""The demo weights: a checkpoint in this package, made into a GGUF file in the cache at first use.

nano has gpt-oss's architecture and vocabulary, and knows a few dialogues by heart; docs/nano.md
says what it is and how it is trained. It is not gpt-oss.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, TypedDict, cast

from acp_agent.engine.gguf import F16, F32, Tensor, Value, gguf_chunks
from acp_agent.errors import EngineUnavailable, VocabularyError
from acp_agent.harmony.ranks import FILE_NAME, RANKS, SHA256, ranks_directory
from acp_agent.paths import cache_dir

NAME = "nano (demo weights, not gpt-oss)"
CHECKPOINT = Path(__file__).with_name("nano.bin.xz")
CONTEXT_LENGTH = 131_072
TEMPLATE = Path(__file__).with_name("nano.jinja")
EXPANSION = b"2"  # count up when the same checkpoint is to give another file

_SIZE = 201_088
_NORMAL, _CONTROL = 1, 3
_CONTROL_NAMES = {
    199_998: "<|startoftext|>",
    199_999: "<|endoftext|>",
    200_002: "<|return|>",
    200_003: "<|constrain|>",
    200_005: "<|channel|>",
    200_006: "<|start|>",
    200_007: "<|end|>",
    200_008: "<|message|>",
    200_012: "<|call|>",
    200_018: "<|endofprompt|>",
}


class _Shape(TypedDict):
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    experts: int
    experts_used: int
    feed_forward: int
    window: int
    rope_base: float
    rope_factor: float
    rope_original: int
    epsilon: float


class _Stored(TypedDict):
    name: str
    shape: list[int]
    half: bool


class _Header(TypedDict):
    shape: _Shape
    vocabulary: list[int]
    tensors: list[_Stored]


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """`splits[i]` is where the two parts of token i meet, in bytes; 0 for a single byte."""

    header: _Header
    splits: bytes
    weights: memoryview


def ensure_nano(
    vocabulary_file: Path | None = None,
    *,
    cache: Path | None = None,
    checkpoint: Path = CHECKPOINT,
) -> Path:
    """Return the path of nano's GGUF, made now (about 1 s, 60 MB) if the cache has no sound one.

    `vocabulary_file` holds the o200k_base ranks; without it they are looked for as always.
    Blocks: call it from a thread.

    Raises:
        EngineUnavailable: The packaged checkpoint is damaged, or the cache cannot be written.
        VocabularyError: No ranks are to be had.

    """
    try:
        directory = cache or cache_dir()
        directory.mkdir(parents=True, exist_ok=True)
        packed = checkpoint.read_bytes()
        name = _stem(packed)
        for path in directory.glob(f"{name}-*.gguf"):
            if _checksum(_blocks(path)) == path.stem.removeprefix(f"{name}-"):
                return path
        ranks = _ranks(vocabulary_file, directory)
        return _write(directory, name, _expand(_read(packed, checkpoint), ranks))
    except OSError as error:
        raise EngineUnavailable(
            f"cannot make the demo weights: {error}; free some space, or set XDG_CACHE_HOME"
        ) from error


def stem() -> str:
    """Return what the names of the present weights begin with. Raises OSError."""
    return _stem(CHECKPOINT.read_bytes())


def _stem(packed: bytes) -> str:
    return f"nano-{hashlib.sha256(EXPANSION + TEMPLATE.read_bytes() + packed).hexdigest()[:12]}"


def _ranks(vocabulary_file: Path | None, directory: Path) -> bytes:
    if vocabulary_file is None:
        with ranks_directory(lambda: directory / "vocabulary") as found:
            return (found / FILE_NAME).read_bytes()
    content = vocabulary_file.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise VocabularyError(f"{str(vocabulary_file)!r} does not hold the o200k_base ranks")
    return content


def _expand(checkpoint: _Checkpoint, ranks: bytes) -> Iterator[bytes]:
    tokens = [base64.b64decode(line.split(b" ", 1)[0]) for line in ranks.splitlines()]
    return gguf_chunks(_metadata(checkpoint, tokens), list(_tensors(checkpoint)))


def _read(packed: bytes, source: Path) -> _Checkpoint:
    try:
        line, _, body = lzma.decompress(packed).partition(b"\n")
        header = cast(_Header, json.loads(line))
    except (lzma.LZMAError, ValueError) as error:
        raise EngineUnavailable(
            f"{str(source)!r} is damaged: {error}; install this package again"
        ) from error
    return _Checkpoint(header, body[:RANKS], memoryview(body)[RANKS:])


# ---------------------------------------------------------------- the vocabulary


def _metadata(checkpoint: _Checkpoint, tokens: Sequence[bytes]) -> dict[str, Value]:
    shape = checkpoint.header["shape"]
    letters = _letters()
    spelled = [token.decode("latin-1").translate(letters) for token in tokens]
    merges = [
        f"{text[:split]} {text[split:]}".encode()
        for text, split in zip(spelled, checkpoint.splits, strict=True)
        if split
    ]
    control = (_CONTROL_NAMES.get(i, f"<|reserved_{i}|>") for i in range(RANKS, _SIZE))
    return {
        "general.architecture": "gpt-oss",
        "general.name": NAME,
        "general.file_type": 1,
        **{f"gpt-oss.{key}": value for key, value in _sizes(shape).items()},
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-4o",
        "tokenizer.ggml.tokens": [text.encode() for text in (*spelled, *control)],
        "tokenizer.ggml.token_type": [_NORMAL] * RANKS + [_CONTROL] * (_SIZE - RANKS),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 199_998,
        "tokenizer.ggml.eos_token_id": 200_002,
        "tokenizer.ggml.padding_token_id": 199_999,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE.read_text(encoding="utf-8"),
    }


def _sizes(shape: _Shape) -> dict[str, Value]:
    return {
        "context_length": CONTEXT_LENGTH,
        "embedding_length": shape["hidden"],
        "block_count": shape["layers"],
        "feed_forward_length": shape["feed_forward"],
        "expert_feed_forward_length": shape["feed_forward"],
        "expert_count": shape["experts"],
        "expert_used_count": shape["experts_used"],
        "attention.head_count": shape["heads"],
        "attention.head_count_kv": shape["kv_heads"],
        "attention.key_length": shape["head_size"],
        "attention.value_length": shape["head_size"],
        "attention.layer_norm_rms_epsilon": shape["epsilon"],
        "attention.sliding_window": shape["window"],
        "rope.freq_base": shape["rope_base"],
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": shape["rope_factor"],
        "rope.scaling.original_context_length": shape["rope_original"],
    }


def _letters() -> dict[int, int]:
    """Map bytes to the letters by which GPT-2 style vocabularies spell them."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    return {byte: 256 + i for i, byte in enumerate(others)}


# ---------------------------------------------------------------- the weights


def _tensors(checkpoint: _Checkpoint) -> Iterator[Tensor]:
    start = 0
    for stored in checkpoint.header["tensors"]:
        shape, kind = tuple(stored["shape"]), F16 if stored["half"] else F32
        end = start + prod(shape) * (2 if stored["half"] else 4)
        data = bytes(checkpoint.weights[start:end])
        start = end
        if stored["name"] in ("token_embd.weight", "output.weight"):
            yield _spread(stored["name"], shape[1], data, checkpoint.header["vocabulary"])
        else:
            yield Tensor(stored["name"], shape, kind, data)


def _spread(name: str, width: int, rows: bytes, vocabulary: Iterable[int]) -> Tensor:
    """Give each token of `vocabulary` its row, and every other token the first one."""
    size = width * 2
    data = bytearray(rows[:size] * _SIZE)
    for number, token in enumerate(vocabulary, 1):
        data[token * size : (token + 1) * size] = rows[number * size : (number + 1) * size]
    return Tensor(name, (_SIZE, width), F16, data)


# ---------------------------------------------------------------- the file


def _write(directory: Path, stem: str, chunks: Iterable[bytes]) -> Path:
    """Put the file in place in one step: another process may be making the same one."""
    handle, part = tempfile.mkstemp(dir=directory, prefix=f".{stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            checksum = _checksum(_written(chunks, file))
        # Whoever made it, it is the same file: agents that find one engine by it share one.
        os.utime(part, (0, 0))
        return Path(part).replace(directory / f"{stem}-{checksum}.gguf")
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _written(chunks: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _checksum(blocks: Iterable[bytes]) -> str:
    # Against damage, not against malice: whoever can write here can also change this program.
    value = 0
    for block in blocks:
        value = zlib.crc32(block, value)
    return f"{value:08x}"
