"""What the setting `fm.backend` may name: the small model that answers light prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acp_agent.backends.select import PROVIDERS, Selector, parse_selector
from acp_agent.errors import ConfigError

PACKAGED = "smollm2"
MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Packaged:
    """SmolLM2, which a package carries."""


@dataclass(frozen=True, slots=True)
class Gguf:
    """Weights on the disk, for an engine of our own."""

    path: Path


Small = Packaged | Gguf | Selector


def parse_small(text: str) -> Small:
    """Return what `text` names: `smollm2`, a GGUF file's path, or `provider:model`.

    A known provider decides, for its model ids may hold slashes, or end as a file does.

    Raises:
        ConfigError: It is none of them, or the file is no GGUF; the text says what would do.

    """
    text = text.strip()
    if text == PACKAGED:
        return Packaged()
    if text.partition(":")[0].strip() in PROVIDERS:
        return parse_selector(text)
    if "/" in text or text.endswith(".gguf"):
        return Gguf(_gguf(text))
    raise _wrong(text, "is no small model")


def _gguf(text: str) -> Path:
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            raise _wrong(text, "is a directory")
        if not path.is_file():
            raise _wrong(text, "is no file that exists")
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise _wrong(text, "is not a GGUF file")
    except OSError as error:
        raise _wrong(text, f"cannot be read ({error.strerror or error})") from None
    except (ValueError, RuntimeError):  # a null in it, or nobody's home
        raise _wrong(text, "is no path") from None
    return path


def _wrong(text: str, what: str) -> ConfigError:
    return ConfigError(
        f"fm.backend: {text!r} {what}; it may be {PACKAGED!r}, the path of a GGUF file, or"
        f" provider:model with one of {', '.join(PROVIDERS)}"
    )
