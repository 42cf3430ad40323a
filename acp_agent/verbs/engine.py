"""`acp-agent engine`: the flags of its actions, and which of them is done where."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite

from acp_agent.config import Settings
from acp_agent.errors import ConfigError
from acp_agent.verbs.engine_variables import Asked, asked


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Say what can follow `acp-agent engine`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser("start", help="start the engine and keep it, or find the one there")
    start.add_argument("--warm", action="store_true", help="then send it the warm-up prompts")
    start.add_argument(
        "--export", action="store_true", help="print address and key as a shell's exports"
    )
    stop = actions.add_parser("stop", help="end our engine once it has answered; no other's")
    what = stop.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every engine that we started")
    what.add_argument(
        "--keepalive", dest="quiet", action="store_true", help="only the requests that keep it warm"
    )
    stop.add_argument("--now", action="store_true", help="though it is in the middle of an answer")
    status = actions.add_parser("status", help="say how the engine does; 1 if none runs")
    status.add_argument(
        "--no-sample", dest="sample", action="store_false", help="ask it for no token"
    )
    warm = actions.add_parser("warm", help="send the warm-up prompts, and say how long it took")
    bench = actions.add_parser("bench", help="time N short answers")
    bench.add_argument("runs", metavar="N", nargs="?", type=_count, default=5, help="default: 5")
    bench.add_argument("--prompt", help="what to ask (GPT_OSS_PROMPT; default: 1+1=)")
    query = actions.add_parser("query", help="let the model continue a text: the shortest path")
    query.add_argument("prompt", metavar="PROMPT", help="the text; - reads it from stdin")
    query.add_argument(
        "--special", action="store_true", help="read <|start|> and its like as control tokens"
    )
    for generating in (bench, query):
        _add_generating(generating)
    logs = actions.add_parser("logs", help="show the log of the engine that runs, or ran last")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the engine ends")
    logs.add_argument("-n", dest="lines", metavar="N", type=_lines, default=20, help="default: 20")
    for action in (start, stop, status, warm, bench, query, logs):
        _add_choosing(action)


def run_engine(args: argparse.Namespace, settings: Settings, variables: Mapping[str, str]) -> int:
    """Do what was asked; return the exit code."""
    match args.action:
        case "start":
            from acp_agent.verbs.engine_start import start

            return start(settings, variables, warm=args.warm, export=args.export, as_json=args.json)
        case "stop":
            from acp_agent.verbs.engine_stop import stop, stop_keepalive

            if args.quiet:
                return stop_keepalive(settings, variables, as_json=args.json)
            return stop(settings, every=args.all, now=args.now, as_json=args.json)
        case "status":
            from acp_agent.verbs.engine_status import status

            return status(settings, variables, sample=args.sample, as_json=args.json)
        case "warm":
            from acp_agent.verbs.engine_ask import warm

            return warm(settings, variables, as_json=args.json)
        case "bench":
            from acp_agent.verbs.engine_bench import bench

            return bench(settings, _asked(args, variables), args.runs, variables, args.json)
        case "query":
            from acp_agent.verbs.engine_ask import query

            return query(settings, _asked(args, variables), special=args.special, as_json=args.json)
        case _:
            from acp_agent.verbs.engine_logs import logs

            return logs(settings, lines=args.lines, follow=args.follow, as_json=args.json)


def _asked(args: argparse.Namespace, variables: Mapping[str, str]) -> Asked:
    text: str | None = args.prompt
    if text == "-" and args.action == "query":
        text = sys.stdin.read().removesuffix("\n")
    if text == "":
        raise ConfigError("the prompt is empty")
    return asked(variables, text, args.tokens, args.heat)


def _add_generating(parser: argparse.ArgumentParser) -> None:
    # Not the settings of these names: a conversation's limit is no question's.
    parser.add_argument(
        "--max-tokens", dest="tokens", metavar="N", type=_count, help="default: 8, as a script does"
    )
    parser.add_argument(
        "--temperature", dest="heat", metavar="T", type=_heat, help="default: 0, the likeliest"
    )


def _add_choosing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--demo", action="store_true", default=None, help="the demo weights")
    parser.add_argument("--model-path", metavar="FILE", help="the engine with this GGUF file")
    parser.add_argument("--engine-url", metavar="URL", help="a llama.cpp server at this address")
    parser.add_argument("--port", type=int, metavar="N", help="the engine at this port")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


def _lines(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def _heat(text: str) -> float:
    with suppress(ValueError):
        if isfinite(value := float(text)) and value >= 0:
            return value
    raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text!r}")
