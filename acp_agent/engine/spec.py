"""What an engine is to run, as a value that names it: agents with equal specs share one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine runs; zero and "" leave a value to the engine, or to what the machine allows.

    `program` says who serves: "" the wheel, "auto" a llama-server where one is found and works, or
    the path of one.
    """

    model: Path
    context: int = 0
    parallel: int = 1
    batch: int = 0
    ubatch: int = 0
    port: int = 0
    threads: int = 0
    threads_batch: int = 0
    program: str = ""
    flash_attn: str = ""
    kv_unified: bool = True
    cache_type_k: str = ""
    cache_type_v: str = ""
    cache_reuse: int = 0
    swa_full: bool = False

    def digest(self) -> str:
        """Return a short name for this spec and the file as it is now. Raises OSError.

        The port is no part of it: an engine that answers elsewhere holds the same weights.
        """
        path = self.model.resolve()
        file = path.stat()
        parts = (str(path), file.st_size, file.st_mtime_ns, *astuple(replace(self, port=0))[1:])
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return this as one argument for the host."""
        return json.dumps(asdict(self) | {"model": str(self.model.resolve())})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote. Raises ValueError, TypeError."""
        values = json.loads(text)
        return cls(**values | {"model": Path(values["model"])})


@dataclass(frozen=True, slots=True)
class Patience:
    """When the engine ends by itself, and what keeps it warm until then; all in seconds.

    It stays `linger` after its last user, and ends after `idle` without a request (0: never); after
    `grace` without one, if more than the share `limit` of the machine's memory is in use. Every
    `keepalive` (0: never) it is asked for `keepalive_tokens`, which does not count as use. Loading
    is given up after `stall` (0: never) in which nothing moved.
    """

    linger: float = 60.0
    idle: float = 0.0
    limit: float = 1.0
    grace: float = 30.0
    keepalive: float = 0.0
    keepalive_tokens: int = 1
    stall: float = 120.0

    def to_json(self) -> str:
        """Return this as one argument for the host."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote. Raises ValueError, TypeError."""
        return cls(**json.loads(text))
