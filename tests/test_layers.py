"""The direction of imports, and the one home of each foreign library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "acp_agent"
MODULES = sorted(ROOT.rglob("*.py"))

ABOVE = ("agent", "app", "backends", "engine", "harmony", "ports", "protocol", "sandbox", "tools")
# What a layer must not import. Only `app` knows adapters; `cli` and `client` stand above all.
FORBIDDEN = {
    "errors": {"acp_agent"},
    "events": {"acp_agent"},
    "paths": {"acp_agent"},
    "plain": {"acp_agent"},
    "conversation": {f"acp_agent.{name}" for name in ABOVE},
    "servers": {"acp_agent"},
    "ports": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.harmony", "acp_agent.tools"},
    "offer": {"acp_agent.protocol", "acp_agent.backends", "acp_agent.engine", "acp_agent.app"},
    "agent/": {"acp_agent.protocol", "acp_agent.backends", "acp_agent.engine", "acp_agent.app"},
    "harmony/": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.backends", "acp_agent.tools"},
    "tools/": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.backends", "acp_agent.harmony"},
    "backends/": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.tools"},
    "engine/": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.tools"},
    "models/": {"acp_agent.protocol", "acp_agent.agent", "acp_agent.tools", "acp_agent.app"},
    "sandbox/": {
        "acp_agent.protocol",
        "acp_agent.agent",
        "acp_agent.backends",
        "acp_agent.harmony",
        "acp_agent.tools",
    },
    "routing/": {
        "acp_agent.protocol",
        "acp_agent.agent",
        "acp_agent.backends",
        "acp_agent.engine",
        "acp_agent.tools",
    },
    "protocol/": {
        "acp_agent.backends",
        "acp_agent.engine",
        "acp_agent.tools",
        "acp_agent.harmony",
        "acp_agent.app",
    },
}
HOMES = {
    "httpx": ("backends/", "engine/", "models/", "tools/browser/"),
    "openai_harmony": ("harmony/",),
    "xllamacpp": ("engine/",),
    "huggingface_hub": ("models/",),
    "psutil": ("engine/",),
    "docker": ("sandbox/",),
    "lxml": ("tools/browser/",),
    "ddgs": ("tools/browser/",),
    "mcp": ("tools/mcp",),
    "mcp_types": ("tools/mcp",),
    "httpx2": ("tools/mcp", "models/"),  # what mcp and huggingface_hub raise
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str() as module):
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            case _:
                pass
    return names


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_nothing_above_its_layer(path: Path) -> None:
    here = str(path.relative_to(ROOT).with_suffix(""))
    forbidden = {f for layer, names in FORBIDDEN.items() if here.startswith(layer) for f in names}
    assert not {name for name in imports(path) for f in forbidden if within(name, f)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_foreign_library_stays_in_its_home(path: Path) -> None:
    here = str(path.relative_to(ROOT))
    strays = {
        name
        for name in imports(path)
        for library, homes in HOMES.items()
        if within(name, library) and not here.startswith(homes)
    }
    assert not strays


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_asyncio_is_used_through_anyio_only(path: Path) -> None:
    assert not {name for name in imports(path) if within(name, "asyncio")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
