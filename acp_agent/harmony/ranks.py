"""The file of token ranks (`o200k_base.tiktoken`), found on this machine and never downloaded.

Sources in order: our cache, the header of the user's GGUF, the copy in this package. Whatever the
source, the bytes must have the published digest.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import lzma
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from acp_agent.errors import VocabularyError
from acp_agent.harmony.gguf import read_token_table
from acp_agent.harmony.vocab import FIRST_SPECIAL

SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
FILE_NAME = "o200k_base.tiktoken"
RANKS = FIRST_SPECIAL
PACKAGED = Path(__file__).with_name(f"{FILE_NAME}.xz")

logger = logging.getLogger(__name__)


@contextmanager
def ranks_directory(
    cache: Callable[[], Path], gguf: Path | None = None, packaged: Path = PACKAGED
) -> Generator[Path]:
    """Give a directory that holds the verified ranks file: `cache()`, or a passing one.

    Raises:
        VocabularyError: No source has the right bytes; the text says what is wrong with each.

    """
    try:
        directory = cache()
        kept = _fill(directory, gguf, packaged)
    except OSError as error:
        logger.warning("the vocabulary cannot be kept in the cache: %s", error)
        with tempfile.TemporaryDirectory() as passing:
            _write(Path(passing) / FILE_NAME, _find(gguf, packaged))
            yield Path(passing)
    else:
        yield kept


def ranks_from_gguf(path: Path) -> bytes:
    """Rebuild the ranks file from a gpt-oss GGUF. Raises VocabularyError."""
    tokens = read_token_table(path)[:RANKS]
    letters = _byte_letters()
    try:
        spelled = [token.decode().translate(letters).encode("latin-1") for token in tokens]
    except UnicodeError as error:
        raise VocabularyError(f"the tokens of {str(path)!r} are not byte-level: {error}") from None
    lines = (b"%b %d\n" % (base64.b64encode(token), i) for i, token in enumerate(spelled))
    return _checked(b"".join(lines), str(path))


def _fill(directory: Path, gguf: Path | None, packaged: Path) -> Path:
    target = directory / FILE_NAME
    try:
        _checked(target.read_bytes(), str(target))
    except FileNotFoundError:
        _write(target, _find(gguf, packaged))
    except VocabularyError as error:
        logger.warning("%s; it is replaced", error)
        _write(target, _find(gguf, packaged))
    return directory


def _find(gguf: Path | None, packaged: Path) -> bytes:
    problems: list[str] = []
    if gguf is not None:
        try:
            return ranks_from_gguf(gguf)
        except VocabularyError as error:
            logger.warning("%s; the packaged vocabulary is used", error)
            problems.append(str(error))
    try:
        return _checked(lzma.decompress(packaged.read_bytes()), str(packaged))
    except (OSError, lzma.LZMAError, VocabularyError) as error:
        problems.append(f"{str(packaged)!r}: {error}")
    raise VocabularyError(
        f"no usable vocabulary ({'; '.join(problems)});"
        " install this package again, or set GPT_OSS_GGUF_MODEL_PATH to a gpt-oss GGUF"
    )


def _checked(content: bytes, source: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise VocabularyError(f"{source!r} does not hold the o200k_base ranks (wrong sha256)")
    return content


def _write(target: Path, content: bytes) -> None:
    """Put the file in place in one step: another process may be reading or writing it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _byte_letters() -> dict[int, int]:
    """Map the letters by which GPT-2 style vocabularies spell bytes back to the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return dict(zip(printable, printable, strict=True)) | {
        256 + i: byte for i, byte in enumerate(others)
    }
