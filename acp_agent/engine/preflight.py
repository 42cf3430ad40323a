"""Whether a model fits this machine, and with how much context; decided before it is loaded, pure.

The limits are those of gpt-oss-20b's documents (16 GB of memory, 4 GB of them free), written as
rules for any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acp_agent.engine.machine import Machine
from acp_agent.engine.shape import Cache, Shape

USUAL_CONTEXT, STEP = 32_768, 1024
LEAST_CONTEXT = 8192  # tools, a few files, and room to think
GIB = 1 << 30
MOST_RESERVE = 2 * GIB  # left to the system; of a small machine an eighth
LEAST_FREE = 4 * GIB
# What macOS lets the graphics processor take of a memory that it shares, by the size of that.
SHARES = ((34 * GIB, 2 / 3), (1 << 60, 3 / 4))
TIGHT = 0.75  # share of the memory above which a model leaves little to others
CLOSE = "close memory-intensive apps (browsers, dev tools)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings ask for; a context of 0 is what is usual."""

    context: int = 0
    cache: Cache = field(default_factory=Cache)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: a context, what the user should know of, or why not at all."""

    context: int
    warnings: tuple[str, ...] = ()
    refusal: str = ""


def plan(shape: Shape, machine: Machine, wanted: Wanted) -> Plan:
    """Decide by the header of the model and the memory of the machine."""
    asked = wanted.context or USUAL_CONTEXT
    most = min(asked, shape.trained or asked)
    least = min(most, LEAST_CONTEXT)
    need = shape.need(least, wanted.cache)
    spared = sum(gpu.free for gpu in machine.gpus)  # weights that lie there are not in our memory
    if need > room(machine):
        return Plan(0, refusal=_too_large(shape, machine, need))
    if machine.available < min(LEAST_FREE, max(need - spared, need // 8)):
        return Plan(0, refusal=_too_busy(shape, machine, need))
    free = max(machine.available + spared, need)
    fits = _fitting(shape, wanted.cache, most, least, min(room(machine), free))
    warnings = [
        *_shorter(shape, machine, wanted, most, fits),
        *_tight(shape, machine, wanted, fits),
        *_shared(shape, machine, wanted, fits),
    ]
    return Plan(fits, tuple(warnings))


def room(machine: Machine) -> int:
    """Return the bytes that a model may take at most."""
    own = machine.total - min(MOST_RESERVE, machine.total // 8)
    return own + sum(gpu.total for gpu in machine.gpus)


def _fitting(shape: Shape, cache: Cache, most: int, least: int, free: int) -> int:
    """Return the largest context that fits, `least` at least; whole steps, unless it is all."""
    if shape.need(most, cache) <= free:
        return most
    steps = range(most // STEP * STEP, least, -STEP)
    return next((tokens for tokens in steps if shape.need(tokens, cache) <= free), least)


def _shorter(shape: Shape, machine: Machine, wanted: Wanted, most: int, fits: int) -> list[str]:
    if fits < most:
        free = _size(machine.available + sum(gpu.free for gpu in machine.gpus))
        return [
            f"the context is {fits} tokens instead of {most}: {shape.name} and more do not fit into"
            f" the {free} of memory that are free; {CLOSE}, or set GPT_OSS_CACHE_TYPE_K and _V to"
            " q8_0"
        ]
    if wanted.context > most:
        return [f"the context is {most} tokens instead of {wanted.context}: the model has no more"]
    return []


def _tight(shape: Shape, machine: Machine, wanted: Wanted, fits: int) -> list[str]:
    need, gpus = shape.need(fits, wanted.cache), sum(gpu.free for gpu in machine.gpus)
    if need > machine.available + gpus:
        return [
            f"{shape.name} needs {_size(need)} of memory, {_size(machine.available)} are free; it"
            f" will be slow: {CLOSE}"
        ]
    if need - gpus > machine.total * TIGHT:
        return [
            f"{shape.name} takes {_size(need)} of {_size(machine.total)} of memory; smaller weights"
            " would leave more to other programs"
        ]
    return []


def _shared(shape: Shape, machine: Machine, wanted: Wanted, fits: int) -> list[str]:
    need = shape.need(fits, wanted.cache)
    most = next(int(machine.total * share) for size, share in SHARES if machine.total < size)
    if not machine.unified or need <= most:
        return []
    return [
        f"the graphics processor may take {_size(most)} of {_size(machine.total)}, {shape.name}"
        f" needs {_size(need)}; the processor computes the rest, more slowly"
    ]


def _too_large(shape: Shape, machine: Machine, need: int) -> str:
    has = _size(machine.total) + "".join(
        f" and {_size(gpu.total)} ({gpu.name})" for gpu in machine.gpus
    )
    return (
        f"{shape.name} needs {_size(need)} of memory, this machine has {has}; use smaller weights"
        " (a quantisation with fewer bits), or an engine on another machine (GPT_OSS_URL)"
    )


def _too_busy(shape: Shape, machine: Machine, need: int) -> str:
    return (
        f"{shape.name} needs {_size(need)} of memory, only {_size(machine.available)} of"
        f" {_size(machine.total)} are free; {CLOSE} and try again"
    )


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
