"""The hosts that may be opened unasked: `docs.python.org *.mozilla.org localhost:8080`, or `*`."""

from __future__ import annotations

from collections.abc import Callable


def allowed_hosts(text: str) -> Callable[[str], bool]:
    """Return what tells whether a host, with its port if that is unusual, is among `text`.

    `*.mozilla.org` is every host below mozilla.org, and not itself.
    """
    patterns = tuple(text.lower().replace(",", " ").split())

    def allows(host: str) -> bool:
        return any(
            pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in patterns
        )

    return allows
