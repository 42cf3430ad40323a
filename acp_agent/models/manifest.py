"""What an installed model must be, as the store writes it down: one JSON file, written last.

By schemas/records/model_manifest.schema.json. It is read by hand: asked for at a start, a schema
library would cost more than everything else there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from acp_agent.errors import AgentError
from acp_agent.models.base import BLOCK, InstalledFile
from acp_agent.models.names import is_inside
from acp_agent.models.origin import KINDS, Kind, Origin

FORMAT = 1


class ManifestBroken(AgentError):
    """A manifest cannot be used; `newer` if a later version of this program wrote it."""

    def __init__(self, message: str, *, newer: bool = False) -> None:
        super().__init__(message)
        self.newer = newer


@dataclass(frozen=True, slots=True)
class Accepted:
    """The licence that the user accepted, when, and the digest of the text that was shown."""

    licence: str
    sha256: str
    time: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model; `place` is where its files are, below its directory, or absolute if adopted.

    `architecture` is what the weights are known to be, such as `gpt-oss`, "" if nobody looked.
    """

    name: str
    origin: Origin
    revision: str
    place: str
    files: tuple[InstalledFile, ...]
    installed: str
    weights: str = "gguf"
    architecture: str = ""
    accepted: Accepted | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def as_json(self) -> str:
        """Return the text of the file."""
        fields = {"format": FORMAT, **asdict(self)}
        return json.dumps(fields, ensure_ascii=False, indent=1) + "\n"


def parse(text: str) -> Manifest:
    """Return the manifest that `text` is. Raises ManifestBroken."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ManifestBroken("its manifest is not JSON") from None
    if not isinstance(value, dict):
        raise ManifestBroken("its manifest is no object")
    fields = cast("dict[str, Any]", value)
    version: Any = fields.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ManifestBroken(
            f"its manifest was written by a newer acp-agent (format {version}, this one knows"
            f" {FORMAT}); update acp-agent",
            newer=True,
        )
    try:
        return _manifest(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestBroken(f"its manifest is damaged ({error})") from None


def _manifest(fields: Mapping[str, Any]) -> Manifest:
    accepted: Any = fields.get("accepted")
    origin, place = _origin(_object(fields["origin"])), _text(fields, "place")
    if not (place.startswith("/") if origin.kind == "adopted" else is_inside(place)):
        raise ValueError(f"place {place!r}")
    return Manifest(
        _text(fields, "name"),
        origin,
        _text(fields, "revision"),
        place,
        tuple(_file(_object(file)) for file in _list(fields, "files")),
        _text(fields, "installed"),
        _text(fields, "weights"),
        _text(fields, "architecture"),
        None if accepted is None else Accepted(**_object(accepted)),
    )


def _origin(fields: Mapping[str, Any]) -> Origin:
    named = _text(fields, "kind")
    kinds: dict[str, Kind] = {known: known for known in KINDS}
    kind = kinds.get(named)
    if kind is None:
        raise ValueError(f"origin of kind {named!r}")
    files = tuple(map(str, _list(fields, "files")))
    return Origin(kind, _text(fields, "location"), files, _text(fields, "revision"))


def _file(fields: Mapping[str, Any]) -> InstalledFile:
    path, size = _text(fields, "path"), fields["size"]
    blocks = tuple(map(str, _list(fields, "blocks")))
    if not is_inside(path) or type(size) is not int or size < 0 or len(blocks) != -(-size // BLOCK):
        raise ValueError(f"file {path!r}")
    return InstalledFile(path, size, _text(fields, "sha256"), blocks)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:50]!r} is no object")
    return cast("dict[str, Any]", value)


def _list(fields: Mapping[str, Any], key: str) -> list[object]:
    value: object = fields[key]
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return cast("list[object]", value)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value: object = fields[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is no string")
    return value
