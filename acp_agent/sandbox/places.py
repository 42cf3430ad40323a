"""Where the places of a policy really lie; what runs in the workspace may have laid links there.

A link never decides what is mounted: of a protected place that leads out of the workspace or to
something hidden, nothing is shown. And what holds a place inside the workspace stays where it is,
because a place that was moved is not found the next time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy


def real(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that exist, links followed."""
    found = (Path(os.path.realpath(path)) for path in paths)
    return tuple(dict.fromkeys(path for path in found if path.exists()))


def within(path: Path, roots: Iterable[Path]) -> Path | None:
    """Return where `path` lies in one of `roots`, spelled as that is; None if in none of them."""
    found = Path(os.path.realpath(path))
    for root in roots:
        base = os.path.realpath(root)
        if found.is_relative_to(base):
            return root / found.relative_to(base)
    return None


def check(roots: Iterable[Path]) -> None:
    """Raise ToolFailed if no sandbox can be made of these directories."""
    for root in roots:
        if os.path.realpath(root) == "/":
            raise ToolFailed("no sandbox can be made of the whole disk; open a directory in it")
        if not root.is_dir():
            raise ToolFailed(f"{str(root)!r} is no directory any more; open another workspace")


def protected(policy: Policy) -> tuple[Path, ...]:
    """Return what must be made read-only: in a writable directory, there, and not hidden.

    What lies in another one of them is left out.
    """
    roots = real(policy.writable)
    closed = [
        place
        for place in real(policy.hidden)
        if not any(root.is_relative_to(place) for root in roots)
    ]
    found = dict.fromkeys(
        place
        for path in policy.protected
        if path.exists() and not any(map(Path(os.path.realpath(path)).is_relative_to, closed))
        if (place := within(path, policy.writable))
    )
    return tuple(path for path in found if not any(above in found for above in path.parents))


def holders(places: Iterable[Path], roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return the directories between `roots` and the places in them; they must not be moved."""
    found = [
        above
        for place in places
        for root in roots
        if place.is_relative_to(root)
        for above in reversed(place.parents)
        if above.is_relative_to(root) and above not in roots
    ]
    return tuple(dict.fromkeys(found))
