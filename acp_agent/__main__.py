"""`python -m acp_agent`, and what the console scripts call."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the verb that the command line names; return the exit code."""
    from acp_agent.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
