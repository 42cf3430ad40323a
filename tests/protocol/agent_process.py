"""A whole agent process with a scripted core, for tests that need real pipes."""

from __future__ import annotations

import sys

from acp_agent.protocol.opening import serve_opening
from acp_agent.protocol.stdio import claim


def main() -> None:
    wire = claim()
    from tests.protocol.harness import new_agent  # after the claim: nothing may see the wire

    opened = serve_opening(new_agent(), wire)
    if opened is None:
        return
    import anyio

    from acp_agent.protocol.server import serve_connection
    from tests.protocol.harness import NoStore
    from tests.protocol.process_play import factory

    print("a stray print")  # noqa: T201  it must not reach the wire
    sys.stdout.flush()
    anyio.run(serve_connection, opened, factory, NoStore())


main()
