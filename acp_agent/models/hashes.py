"""The SHA-256 of a file and of each of its blocks, taken in one pass over its bytes."""

from __future__ import annotations

from hashlib import sha256

from acp_agent.models.base import BLOCK, InstalledFile


class Hashes:
    """What has been seen of one file so far; `size` is how many bytes that were."""

    def __init__(self) -> None:
        self.size = 0
        self._whole = sha256()
        self._block = sha256()
        self._blocks: list[str] = []

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes; the lock on the interpreter is free meanwhile."""
        self._whole.update(data)
        rest = memoryview(data)
        while rest:
            piece = rest[: BLOCK - self.size % BLOCK]
            rest = rest[len(piece) :]
            self._block.update(piece)
            self.size += len(piece)
            if self.size % BLOCK == 0:
                self._blocks.append(self._block.hexdigest())
                self._block = sha256()

    def installed(self, path: str) -> InstalledFile:
        """Return what the manifest says of a file with just these bytes."""
        begun = [self._block.hexdigest()] if self.size % BLOCK else []
        return InstalledFile(path, self.size, self._whole.hexdigest(), (*self._blocks, *begun))
