"""`acp-agent models`: what is called for, and who does it. Exit codes: 0, 1 it failed, 2 misuse."""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable, Sequence

import anyio

from acp_agent.errors import AgentError
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import Catalog
from acp_agent.models.entries import entries_file, read_entries
from acp_agent.models.store import Store
from acp_agent.paths import models_path
from acp_agent.verbs import models_care, models_install, models_show
from acp_agent.verbs.models_desk import Desk
from acp_agent.verbs.telling import Teller

Run = Callable[[Desk, argparse.Namespace], Awaitable[int]]

WORK: dict[str, Run] = {
    "install": models_install.run_install,
    "add": models_install.run_add,
    "list": models_show.run_list,
    "status": models_show.run_status,
    "verify": models_care.run_verify,
    "repair": models_care.run_repair,
    "remove": models_care.run_remove,
    "gc": models_care.run_gc,
}
NAMES = """\
NAME is one of `acp-agent models list`, such as gpt-oss-20b or gpt-oss-20b:Q4_0;
or `hub OWNER/NAME:FILE` of Hugging Face, the path of a GGUF file, an http(s) address of one,
or ollama:MODEL and lmstudio:MODEL, which those programs download and keep themselves.
"""


def run_models(argv: Sequence[str]) -> int:
    """Do what one command line asks. Raises AgentError, unless it was to be said in JSON."""
    args = _parse(argv)
    teller = Teller(as_json=args.json)
    try:
        catalog = Catalog(read_entries(entries_file()))
        desk = Desk(Store(models_path()), catalog, os.environ, teller)
        return anyio.run(WORK[args.work], desk, args)
    except KeyboardInterrupt:
        if args.work == "install":
            text = "stopped; what came is kept, and the same command goes on from there"
            teller.note("stopped", text)
        return 130
    except AgentError as error:
        if not args.json:
            raise
        teller.result("failed", str(error))
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise InstallFailed(f"the store cannot be used: {error.strerror or error}{where}") from None


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("acp-agent models", description="Models on this machine.")
    parser.set_defaults(json=False)
    verbs = parser.add_subparsers(dest="work", metavar="VERB", required=True)
    install = verbs.add_parser(
        "install",
        help="download a model and make it ready",
        epilog=NAMES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    install.add_argument("words", nargs="+", metavar="NAME", help="what to install (see below)")
    install.add_argument("--accept-license", "--accept-licence", action="store_true", dest="accept")
    install.add_argument("--name", default="", help="what to call it here")
    install.add_argument("--update", action="store_true", help="take the newest revision")
    install.add_argument(
        "--force", action="store_true", help="though it is of no use on this machine"
    )
    add = verbs.add_parser("add", help="use a GGUF file of yours where it lies")
    add.add_argument("path", metavar="FILE")
    add.add_argument("--name", default="", help="what to call it here")
    verbs.add_parser("list", help="say what is installed and what can be")
    status = verbs.add_parser("status", help="say how a model stands, or all of them")
    status.add_argument("names", nargs="*", metavar="NAME")
    verify = verbs.add_parser("verify", help="hash the files again and name what is wrong")
    verify.add_argument("names", nargs="*", metavar="NAME", help="(default: all)")
    for name, words in (
        ("repair", "fetch only what is damaged or missing"),
        ("remove", "delete a model; an added file stays where it is"),
    ):
        verbs.add_parser(name, help=words).add_argument("names", nargs="+", metavar="NAME")
    gc = verbs.add_parser("gc", help="delete broken-off downloads and what nothing needs")
    gc.add_argument("--dry-run", action="store_true", help="only say what would go")
    for verb in verbs.choices.values():
        verb.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args(argv)
