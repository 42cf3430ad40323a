"""How the host comes to a server with its model: look at the machine, choose, load."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from acp_agent.engine.asking import Asker
from acp_agent.engine.binary import AUTO, Search, find
from acp_agent.engine.child import Child
from acp_agent.engine.home import EngineHome, EngineState
from acp_agent.engine.machine import look
from acp_agent.engine.order import LoadFailed, Order, Server, free_port
from acp_agent.engine.preflight import Wanted, plan
from acp_agent.engine.shape import Cache, read_shape
from acp_agent.engine.spec import EngineSpec
from acp_agent.engine.wheel import Wheel

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # somebody may take a free port between our look and llama.cpp's
# What another llama.cpp may do better.
OURS_MAY_KNOW = ("does not know", "invalid argument", "cannot run ")


@dataclass(frozen=True, slots=True)
class Found:
    """The context that fits, what the user should know of, who can serve, and what is free then."""

    context: int
    warnings: tuple[str, ...]
    search: Search
    spare: int


Make = Callable[[Order], Server]


def look_before(spec: EngineSpec) -> Found:
    """Decide what to load, and by whom. Raises LoadFailed where the machine is too small."""
    search = find(spec.program)
    for problem in search.broken:
        logger.warning("passed over: %s", problem)
    # What is wrong with a program that nobody named is for the log only.
    passed = () if spec.program == AUTO else tuple(f"passed over: {it}" for it in search.broken)
    machine, want = look(gpus=search.binary is not None), wanted(spec)
    try:
        shape = read_shape(spec.model)
    except (OSError, ValueError):
        # The engine finds better words for it.
        return Found(spec.context, passed, search, machine.available)
    found = plan(shape, machine, want)
    if found.refusal:
        raise LoadFailed(found.refusal)
    for warning in found.warnings:
        logger.warning("%s", warning)
    spare = machine.available - shape.need(found.context, want.cache)
    return Found(found.context, (*passed, *found.warnings), search, max(0, spare))


def wanted(spec: EngineSpec) -> Wanted:
    """Return what a spec asks of the memory."""
    types = spec.cache_type_k or "f16", spec.cache_type_v or "f16"
    return Wanted(spec.context, Cache(*types, spec.parallel, spec.ubatch, spec.swa_full))


def loaded(
    spec: EngineSpec, found: Found, home: EngineHome, state: EngineState
) -> tuple[Server, EngineState]:
    """Return the server with its model, and what is to be said of it.

    The state is written before the model is there, for whoever asks meanwhile. Raises LoadFailed.
    """
    binary = found.search.binary
    if binary is not None:
        try:
            return _served(lambda order: Child(binary, order, home.path), spec, found, home, state)
        except LoadFailed as error:
            if not any(words in str(error) for words in OURS_MAY_KNOW):
                raise
            os.truncate(state.log, 0)  # its words are not those of the next one
            logger.warning("passed over: %s: %s", binary.path, error)
    return _served(Wheel, spec, found, home, state)


def _served(
    make: Make, spec: EngineSpec, found: Found, home: EngineHome, state: EngineState
) -> tuple[Server, EngineState]:
    for attempt in range(1, ATTEMPTS + 1):
        port = spec.port or free_port()
        order = Order(spec, found.context, port, state.key, Path(state.log), found.spare)
        server = make(order)
        state = replace(
            state,
            url=order.url,
            kind=server.kind,
            version=server.version,
            program=server.program,
        )
        home.write(state)
        try:
            server.load()
        except LoadFailed as error:
            if spec.port or attempt == ATTEMPTS or "in use" not in str(error):
                raise
            os.truncate(state.log, 0)
            continue
        return server, _ready(server, state, order)
    raise AssertionError("the last attempt returns or raises")


def _ready(server: Server, state: EngineState, order: Order) -> EngineState:
    """Add what the server says of itself: it may have chosen another context."""
    props = _table(Asker(order.url, order.key).get("/props"))
    size = _table(props.get("default_generation_settings")).get("n_ctx")
    slots = props.get("total_slots")
    return replace(
        state,
        ready=True,
        child=0 if server.pid == state.pid else server.pid,
        context=size if isinstance(size, int) else order.context,
        parallel=slots if isinstance(slots, int) else order.spec.parallel,
    )


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
