"""The verbs of the command line. `serve` is the one that must start at once: it imports late."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from acp_agent import __version__
from acp_agent.config import Settings, load, rubric_file
from acp_agent.errors import AgentError, ConfigError

RECORDED = {
    "replay": "show a recorded session once more",
    "validate": "check an .rlog, or a trajectory",
    "export": "write a session as Markdown, HTML, rlog or JSON lines",
    "stats": "say how fast the models have been here",
}
DESCRIPTION = "An Agent Client Protocol server for gpt-oss on your own machine."


def run(argv: Sequence[str]) -> int:
    """Run one command. Exit codes: 0 it went well, 1 it failed, 2 it was called wrongly."""
    try:
        if argv[:1] == ["models"]:
            from acp_agent.verbs.models import run_models

            return run_models(argv[1:])
        return _dispatch(_parse(argv))
    except ConfigError as error:
        print(f"acp-agent: {error}", file=sys.stderr)
        return 2
    except AgentError as error:
        print(f"acp-agent: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"acp-agent: {error}", file=sys.stderr)
        # Whoever read our output has enough; the interpreter must not flush into the closed pipe.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def serve(settings: Settings) -> int:
    """Speak ACP on stdin and stdout until the client leaves."""
    from acp_agent.checks import check
    from acp_agent.engine.at_hand import small_model
    from acp_agent.offer import session_options
    from acp_agent.protocol.agent import Agent
    from acp_agent.protocol.opening import serve_opening
    from acp_agent.protocol.stdio import claim

    at_hand = small_model()
    _tell(check(settings, os.environ, at_hand))
    agent = Agent(lambda: session_options(settings, os.environ, at_hand), __version__)
    opened = serve_opening(agent, claim())
    if opened is None:
        return 0
    # From here on nobody waits for us: 100 ms for the event loop and all that comes with it.
    import anyio

    from acp_agent import app

    anyio.run(app.serve, settings, opened, os.environ)
    return 0


def _tell(note: str) -> None:
    if note:
        print(f"acp-agent: {note}", file=sys.stderr)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("acp-agent", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"acp-agent {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    serving = verbs.add_parser("serve", help="speak ACP on stdin and stdout (what editors start)")
    _add_serving_flags(serving)
    serving.add_argument("--setup", action="store_true", help="install a model, in this terminal")
    prompt = verbs.add_parser("run", help="send one prompt from the terminal")
    _add_serving_flags(prompt)
    prompt.add_argument("--cwd", type=Path, help="the workspace (default: here)")
    prompt.add_argument("--json", action="store_true", help="print every update as a line of JSON")
    prompt.add_argument("prompt", help="what to ask; - reads it from stdin")
    verbs.add_parser(
        "demo", help="watch a greeting answered, Python run, and a failing test mended"
    )
    doctor = verbs.add_parser("doctor", help="say what works, what does not, and what to do")
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    verbs.add_parser("models", help="install, verify and remove models")
    route = verbs.add_parser("route", help="say who would answer a prompt, and why; runs no model")
    route.add_argument("--json", action="store_true", help="the decision as one JSON object")
    route.add_argument("--jsonl", action="store_true", help="objects on stdin, decisions on stdout")
    route.add_argument("--rubric", type=Path, metavar="FILE", help="a rubric laid over the shipped")
    route.add_argument(
        "--default-rubric", action="store_true", help="go by the shipped rubric if FILE is broken"
    )
    route.add_argument("prompt", nargs="?", help="what to route; - reads it from stdin")
    engine = verbs.add_parser("engine", help="start, stop, watch and time the engine")
    if argv[:1] == ["engine"]:
        from acp_agent.verbs.engine import add_actions

        add_actions(engine)
    for name, help_text in RECORDED.items():
        recorded = verbs.add_parser(name, help=help_text)
        if argv[:1] == [name]:
            from acp_agent.verbs.recorded import add_arguments

            add_arguments(name, recorded)
    if argv == ["--setup"] or (not argv and not sys.stdin.isatty()):
        return parser.parse_args(["serve", *argv])
    args = parser.parse_args(argv)
    if args.verb is None:
        parser.print_help()
        parser.exit(2)
    return args


def _add_serving_flags(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--demo", action="store_true", default=None, help="answer with demo weights")
    who.add_argument("--script", metavar="FILE", help="play a scripted model (docs/scripts.md)")
    parser.add_argument("--mode", metavar="MODE", help="gptoss_20b, gptoss_120b or fm")
    parser.add_argument("--effort", metavar="LEVEL", help="reasoning effort: low, medium, high")
    parser.add_argument("--approvals", metavar="POLICY", help="ask, auto-edit, read-only or full")
    parser.add_argument("--engine-url", metavar="URL", help="a running llama.cpp server")
    parser.add_argument("--model", metavar="NAME", help="or PROVIDER:MODEL (docs/backends.md)")
    parser.add_argument("--model-path", metavar="FILE", help="a gpt-oss GGUF file to serve")
    parser.add_argument(
        "--record", action="store_true", default=None, help="log sessions to docs/logs, as rlog"
    )
    parser.add_argument("--fm-backend", metavar="NAME", help="who answers light prompts in mode fm")


def _dispatch(args: argparse.Namespace) -> int:
    if args.verb in RECORDED:
        from acp_agent.verbs.recorded import run_recorded

        return run_recorded(args)
    flags = {name: getattr(args, name, None) for name in Settings._fields}
    settings = load(flags, os.environ)
    match args.verb:
        case "run":
            from acp_agent.checks import check
            from acp_agent.engine.at_hand import small_model
            from acp_agent.verbs.run import run_prompt

            _tell(check(settings, os.environ, small_model()))
            return run_prompt(settings, flags, args.prompt, cwd=args.cwd, as_json=args.json)
        case "demo":
            from acp_agent.verbs.demo import run_demo

            return run_demo()
        case "doctor":
            from acp_agent.verbs.doctor import run_doctor

            return run_doctor(settings, as_json=args.json)
        case "route":
            from acp_agent.verbs.route import run_route

            return run_route(
                args.prompt,
                as_json=args.json,
                as_lines=args.jsonl,
                rubric=args.rubric or rubric_file(settings),
                default_if_broken=args.default_rubric
                or (not args.rubric and settings.routing_default_if_broken),
            )
        case "engine":
            from acp_agent.verbs.engine import run_engine

            return run_engine(args, settings, os.environ)
        case _ if args.setup:
            from acp_agent.verbs.setup import run_setup

            return run_setup(settings)
        case _:
            return serve(settings)
