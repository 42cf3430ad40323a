"""What the settings say of an engine of our own: what it runs, and when it ends."""

from __future__ import annotations

from pathlib import Path

from acp_agent.config import Settings
from acp_agent.engine.spec import EngineSpec, Patience

NANO_CONTEXT = 16_384


def local_spec(settings: Settings, model: Path) -> EngineSpec:
    """Return how weights on the disk are served."""
    return EngineSpec(
        model,
        settings.context,
        settings.parallel,
        settings.batch,
        settings.ubatch,
        settings.port,
        settings.threads,
        settings.threads_batch,
        settings.llama_server,
        settings.flash_attn,
        settings.kv_unified,
        settings.cache_type_k,
        settings.cache_type_v,
        settings.cache_reuse,
        settings.swa_full,
    )


def nano_spec(settings: Settings, model: Path) -> EngineSpec:
    """Return how the demo weights are served; by the wheel, so that a demo is the same anywhere."""
    # So small that a second thread would only wait for the first.
    return EngineSpec(model, settings.context or NANO_CONTEXT, settings.parallel, threads=1)


def patience(settings: Settings) -> Patience:
    """Return when such an engine ends, and what keeps it warm until then."""
    return Patience(
        linger=settings.linger,
        idle=settings.idle_unload,
        limit=settings.memory_limit,
        keepalive=settings.keepalive,
        keepalive_tokens=settings.keepalive_tokens,
        stall=settings.load_stall,
    )
