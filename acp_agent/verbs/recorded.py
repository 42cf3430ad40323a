"""The verbs about what was recorded: their arguments, and which module does them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add what one of the verbs takes."""
    match verb:
        case "replay":
            parser.add_argument("session", help="a trajectory file, or the id of a session")
            parser.add_argument(
                "--speed", metavar="X", help="1 is as it was, 2 twice as fast (default: at once)"
            )
            parser.add_argument("--acp", action="store_true", help="as notifications, one a line")
        case "validate":
            parser.add_argument("file", type=Path, help="an .rlog, or a trajectory file")
            parser.add_argument("--json", action="store_true", help="the same for programs")
        case "export":
            parser.add_argument("session", help="a trajectory file, or the id of a session")
            parser.add_argument("--format", choices=["md", "html", "jsonl", "rlog"], default="md")
            parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="not to stdout")
        case _:
            parser.add_argument("session", nargs="?", help="of this session or file alone")
            parser.add_argument(
                "--json", action="store_true", help="every generation, for programs"
            )


def run_recorded(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    match args.verb:
        case "replay":
            from acp_agent.verbs.replay import run_replay

            return run_replay(args.session, speed=args.speed, as_acp=args.acp, out=sys.stdout)
        case "validate":
            from acp_agent.verbs.validate import run_validate

            return run_validate(args.file, as_json=args.json, out=sys.stdout)
        case "export":
            from acp_agent.verbs.export import run_export

            return run_export(args.session, args.format, args.output, out=sys.stdout)
        case _:
            from acp_agent.verbs.stats import run_stats

            return run_stats(args.session, as_json=args.json, out=sys.stdout)


def tell_skipped(number: int, reason: str) -> None:
    """Say which line of a trajectory was passed over."""
    print(f"acp-agent: line {number} was skipped: {reason}", file=sys.stderr)
