"""llama.cpp's server in this very process, from the wheel that this package depends on.

While the weights load, the wheel holds the interpreter: a signal then ends the process as the
system does it, and the server itself answers `503 Loading`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from acp_agent.engine.last_words import explain, whole_log
from acp_agent.engine.order import HOST, LoadFailed, Order

FLASH = {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}


class Wheel:
    """The server of the wheel; it answers as long as it is not closed."""

    kind, program = "wheel", ""

    def __init__(self, order: Order) -> None:
        # Imported here: only this process pays for a library of 100 MB, and only after the fork; by
        # name, because it has no types.
        self._library: Any = import_module("xllamacpp")
        self.version = f"xllamacpp {self._library.__version__}"
        self.pid = os.getpid()
        self._order = order
        self._server: object = None

    def load(self) -> None:
        """Listen, and return when the model is there."""
        try:
            self._server = self._library.Server(self._parameters())
        except (RuntimeError, MemoryError):
            words = explain(whole_log(self._order.log), self._order.spec.model)
            raise LoadFailed(words) from None

    def is_alive(self) -> bool:
        """Return True: it dies with this process only."""
        return True

    def close(self) -> None:
        """Let go of the server, which ends it."""
        self._server = None

    def _parameters(self) -> Any:
        order, spec = self._order, self._order.spec
        params = self._library.CommonParams()
        params.model.path = str(spec.model)
        params.model_alias = {spec.model.stem}
        params.hostnames, params.port, params.api_keys = [HOST], order.port, [order.key]
        params.n_ctx, params.n_parallel = order.context, spec.parallel
        params.n_batch = spec.batch or params.n_batch
        params.n_ubatch = spec.ubatch or params.n_ubatch
        params.kv_unified = spec.kv_unified  # every slot may use the whole context
        params.cache_ram_mib = order.prompt_cache
        params.n_cache_reuse, params.swa_full = spec.cache_reuse, spec.swa_full
        if spec.threads:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec.threads
        if spec.threads_batch:
            params.cpuparams_batch.n_threads = spec.threads_batch
        if sys.platform == "darwin":  # seven times as fast there as mapped weights
            params.load_mode = self._library.llama_load_mode.LLAMA_LOAD_MODE_NONE
        self._choose(params)
        params.ui, params.offline = False, True
        params.endpoint_slots = params.endpoint_metrics = True
        return params

    def _choose(self, params: Any) -> None:
        """Set what the wheel has constants for."""
        library, spec = self._library, self._order.spec
        if spec.flash_attn:
            name = f"LLAMA_FLASH_ATTN_TYPE_{FLASH[spec.flash_attn]}"
            params.flash_attn_type = getattr(library.llama_flash_attn_type, name)
        if spec.cache_type_k:
            params.cache_type_k = getattr(library.ggml_type, _type(spec.cache_type_k))
        if spec.cache_type_v:
            params.cache_type_v = getattr(library.ggml_type, _type(spec.cache_type_v))


def _type(name: str) -> str:
    return f"GGML_TYPE_{name.upper()}"
