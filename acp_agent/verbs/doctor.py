"""`acp-agent doctor`: tries each part for real; says what works, what does not, and what to do."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal, assert_never

import anyio
import anyio.to_thread

from acp_agent import __version__
from acp_agent.config import Settings, selects_provider
from acp_agent.errors import AgentError

MARKS = {"works": "✓", "note": "·", "fails": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part; `advice` says what to do if it fails."""

    part: str
    state: Literal["works", "note", "fails"]
    text: str
    advice: str = ""


def run_doctor(settings: Settings, *, as_json: bool) -> int:
    """Print the findings; 0 if a prompt could be answered now."""
    findings = anyio.run(examine, settings)
    if as_json:
        report = {"version": __version__, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            print(f"{MARKS[finding.state]} {finding.part}: {finding.text}")
            if finding.advice:
                print(f"    → {finding.advice}")
    return 1 if any(finding.state == "fails" for finding in findings) else 0


async def examine(settings: Settings) -> list[Finding]:
    """Look at every part, one after the other."""
    parts: tuple[Callable[[Settings], Awaitable[Finding]], ...] = (
        _python,
        _vocabulary,
        _engine,
        _models,
        _small,
        _rubric,
        _search,
    )
    return [*[await part(settings) for part in parts], *await _sandboxes(settings)]


async def _python(settings: Settings) -> Finding:
    version = platform.python_version()
    where = f"{version} on {platform.system()} {platform.machine()} ({sys.executable})"
    return Finding("python", "works", where)


async def _vocabulary(settings: Settings) -> Finding:
    from acp_agent.engine.locate import weights
    from acp_agent.harmony.vocab import load_vocabulary

    start = time.perf_counter()
    try:
        vocabulary = await anyio.to_thread.run_sync(load_vocabulary, weights(settings))
    except AgentError as error:
        return Finding("vocabulary", "fails", str(error), "install the package anew")
    count = len(vocabulary.encode_text("The vocabulary works offline."))
    took = (time.perf_counter() - start) * 1000
    return Finding("vocabulary", "works", f"o200k_harmony, offline ({count} tokens, {took:.0f} ms)")


async def _engine(settings: Settings) -> Finding:
    from acp_agent.engine.binary import find

    search = await anyio.to_thread.run_sync(find, settings.llama_server)
    passed = "".join(f"; passed over: {problem}" for problem in search.broken)
    if search.binary is not None:
        found = search.binary
        text = f"{found.path}, {found.version or 'of an unknown version'}"
        return Finding("engine", "note" if passed else "works", text + passed)
    wheel = await _wheel()
    if not passed or wheel.state != "works":
        return replace(wheel, text=wheel.text + passed)
    advice = "mend or remove that llama-server, or set LLAMA_SERVER=off"
    return Finding("engine", "note", wheel.text + passed, advice)


async def _wheel() -> Finding:
    import subprocess

    probe = "import xllamacpp; print(xllamacpp.__version__)"
    ran = await anyio.run_process(
        [sys.executable, "-P", "-c", probe], check=False, stderr=subprocess.STDOUT
    )
    words = ran.stdout.decode(errors="replace").strip().split("\n")
    if ran.returncode:
        advice = "set GPT_OSS_URL to a llama.cpp server that runs elsewhere"
        return Finding("engine", "fails", f"the llama.cpp wheel does not load: {words[-1]}", advice)
    return Finding("engine", "works", f"llama.cpp from the xllamacpp wheel {words[-1]}")


async def _models(settings: Settings) -> Finding:
    """Look at the model that answers, and at a larger one beside it."""
    from acp_agent.offer import models

    found = [await _model(model.settings) for model in models(settings)]
    worst = max(found, key=lambda finding: list(MARKS).index(finding.state))
    return replace(worst, text="; ".join(finding.text for finding in found))


async def _selected(part: str, selector: str) -> Finding:
    from acp_agent.backends.select import make_backend, parse_selector, require_model

    try:
        backend = make_backend(parse_selector(selector), os.environ)
        availability = await backend.is_available()
        if availability.state != "ready":
            text = f"{selector}: {availability.reason or availability.state}"
            return Finding(part, "fails", text, "start it, or name another (docs/backends.md)")
        await require_model(backend)
        size = await backend.context_size()
    except AgentError as error:
        return Finding(part, "fails", str(error), "docs/backends.md names the providers")
    return Finding(part, "works", f"{selector}, context {size}")


async def _small(settings: Settings) -> Finding:
    from acp_agent.engine import smollm2
    from acp_agent.engine.at_hand import small_model
    from acp_agent.engine.small import Gguf, Packaged, parse_small
    from acp_agent.offer import fm_backend

    part, installed = "small model", smollm2.installed()
    named = fm_backend(settings, os.environ, small_model())
    if not named:
        text = "none, so mode `fm` is not on offer"
        return Finding(part, "note", text, 'name one, such as fm.backend = "smollm2"')
    try:
        small = parse_small(named)
    except AgentError as error:
        return Finding(part, "fails", str(error))
    match small:
        case Packaged() if installed is None:
            text = f"{smollm2.NAME}, fetched when first needed ({smollm2.MEGABYTES} MB)"
            return Finding(part, "note", text)
        case Packaged():
            return Finding(part, "works", f"{smollm2.NAME}, loaded when needed")
        case Gguf(path):
            return Finding(part, "works", f"{path}, loaded when needed")
        case _:
            return await _selected(part, named.rstrip(":"))


async def _model(settings: Settings) -> Finding:
    if selects_provider(settings):
        return await _selected("model", settings.model)
    from acp_agent.backends.endpoint import fixed
    from acp_agent.backends.llama_server import LlamaServer
    from acp_agent.engine.locate import Local, Nano, Remote, find_engine
    from acp_agent.harmony.gguf import read_token_table

    try:
        found = await find_engine(settings)
        match found:
            case Remote(endpoint):
                server = LlamaServer(fixed(endpoint))
                availability = await server.is_available()
                if availability.state != "ready":
                    text = f"{endpoint.url}: {availability.reason or availability.state}"
                    return Finding("model", "fails", text, "look at that server, or at GPT_OSS_URL")
                names = ", ".join(model.name for model in await server.list_models())
                size = await server.context_size()
                return Finding("model", "works", f"{names} at {endpoint.url}, context {size}")
            case Local(path):
                await anyio.to_thread.run_sync(read_token_table, path)
                size = path.stat().st_size / 1e9
                return Finding("model", "works", f"{path} ({size:.1f} GB), loaded when needed")
            case Nano():
                return Finding("model", "works", "nano, the demo weights; not gpt-oss")
            case _:
                assert_never(found)
    except AgentError as error:
        advice = "`acp-agent demo` works without a model; docs/quickstart.md says how to get one"
        return Finding("model", "fails", str(error), advice)


async def _rubric(settings: Settings) -> Finding:
    from acp_agent.config import rubric_file
    from acp_agent.routing.load import load_rubric

    file = rubric_file(settings)
    try:
        await anyio.to_thread.run_sync(load_rubric, file)
    except AgentError as error:
        advice = "mend it, or let the shipped one stand in (routing.default_if_broken)"
        return Finding("rubric", "fails", str(error), advice)
    return Finding(
        "rubric", "works", f"{file}, over the shipped one" if file else "the shipped one"
    )


async def _search(settings: Settings) -> Finding:
    path = shutil.which("rg")
    if path:
        return Finding("search", "works", f"ripgrep ({path})")
    return Finding("search", "note", "no ripgrep: files are searched by Python, more slowly")


async def _sandboxes(settings: Settings) -> list[Finding]:
    from acp_agent.sandbox.report import sandbox_findings

    return [
        Finding(
            found.part,
            "works" if found.works else "note",
            "; ".join((found.text, *found.notes)),
            found.advice,
        )
        for found in await sandbox_findings(settings)
    ]
