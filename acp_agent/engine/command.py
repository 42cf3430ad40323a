"""The command line by which a `llama-server` serves an order; only flags that it knows. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from acp_agent.engine.binary import Binary
from acp_agent.engine.order import HOST, Order

ALL_LAYERS = "999"


def command(binary: Binary, order: Order, *, platform: str = sys.platform) -> list[str]:
    """Return program and arguments; the key is not among them, for others can read them."""
    known = binary.flags
    parts = [binary.path]
    for flag, *values in _wanted(binary, order, platform):
        if flag in known:
            parts += [flag, *values]
    return parts


def _wanted(binary: Binary, order: Order, platform: str) -> Iterator[tuple[str, ...]]:
    spec = order.spec
    yield "--model", str(spec.model)
    yield "--alias", spec.model.stem
    yield "--host", HOST
    yield "--port", str(order.port)
    yield "--parallel", str(spec.parallel)
    yield "--cache-ram", str(order.prompt_cache)
    numbers = {
        "--ctx-size": order.context,
        "--batch-size": spec.batch,
        "--ubatch-size": spec.ubatch,
        "--threads": spec.threads,
        "--threads-batch": spec.threads_batch,
        "--cache-reuse": spec.cache_reuse,
    }
    yield from ((flag, str(number)) for flag, number in numbers.items() if number)
    yield from ((flag, kind) for flag, kind in _types(order).items() if kind)
    yield ("--kv-unified" if spec.kv_unified else "--no-kv-unified",)
    if spec.swa_full:
        yield ("--swa-full",)
    yield from _flash(binary, spec.flash_attn or "auto")
    yield from _layers(binary)
    if platform == "darwin":
        yield _unmapped(binary)
    yield ("--offline",)
    yield ("--slots",)
    yield ("--metrics",)
    yield ("--no-ui" if "--no-ui" in binary.flags else "--no-webui",)


def _types(order: Order) -> dict[str, str]:
    return {"--cache-type-k": order.spec.cache_type_k, "--cache-type-v": order.spec.cache_type_v}


def _flash(binary: Binary, form: str) -> Iterator[tuple[str, ...]]:
    """Give the flag in the form that this build takes: with a word, or alone for `on`."""
    head = binary.flags.get("--flash-attn", "").split("\n", 1)[0]
    if re.search(r"--flash-attn\s+(\[|<|FA|on\|)", head):
        yield "--flash-attn", form
    elif form != "off":
        yield ("--flash-attn",)


def _layers(binary: Binary) -> Iterator[tuple[str, ...]]:
    """Ask for every layer on the graphics processor where the build does not choose by itself."""
    if "auto" not in binary.flags.get("--n-gpu-layers", ""):
        yield "--n-gpu-layers", ALL_LAYERS


def _unmapped(binary: Binary) -> tuple[str, ...]:
    """Read the weights instead of mapping them: on a Mac that is seven times as fast."""
    return ("--load-mode", "none") if "--load-mode" in binary.flags else ("--no-mmap",)
