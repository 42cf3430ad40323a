"""The downloads of an LM Studio: `POST /api/v1/models/download`, and the status of the job.

Written to LM Studio's documentation of April 2026; it has not been run against one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio

from acp_agent.backends.api import PATIENCE, Api, Patience
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import Answer, Service, error_text, failure
from acp_agent.errors import EngineFailed
from acp_agent.ports import Availability

SERVICE = Service("LM Studio", "LMSTUDIO_BASE_URL", "LM_API_TOKEN")
PAUSE = 1.0  # seconds between two questions how far it is
DOWNLOAD = "/api/v1/models/download"


class LmStudioLibrary:
    """How to have more of an LM Studio's models, wherever `locate` finds it."""

    def __init__(
        self, locate: Locate, *, pause: float = PAUSE, patience: Patience = PATIENCE
    ) -> None:
        self._api = Api(SERVICE, locate, patience=patience)
        self._pause = pause

    @asynccontextmanager
    async def pull(self, model: str) -> AsyncGenerator[AsyncIterator[Availability]]:
        """Fetch a model; leaving the block leaves LM Studio at work, which has no way to stop.

        Gives `downloading` with the share of the bytes, and at last `ready`. Raises BackendError.
        """
        async with aclosing(self._pulled(model)) as states:
            yield states

    async def _pulled(self, model: str) -> AsyncGenerator[Availability]:
        fields = self._fields(await self._api.ask("POST", DOWNLOAD, {"model": model}))
        job = fields.get("job_id")
        while True:
            match fields.get("status"):
                case "completed" | "already_downloaded":
                    yield Availability("ready")
                    return
                case "failed":
                    reason = error_text(fields) or "it does not say why"
                    raise EngineFailed(f"LM Studio cannot download {model!r}: {reason}")
                case "downloading" | "paused" as status if isinstance(job, str):
                    yield Availability("downloading", status, _share(fields))
                case status:
                    raise self._api.mismatch(f"it gives a download the status {status!r}")
            await anyio.sleep(self._pause)
            fields = self._fields(
                await self._api.ask("GET", f"{DOWNLOAD}/status/{quote(job, safe='')}")
            )

    def _fields(self, answer: Answer) -> dict[str, Any]:
        if answer.status != 200:
            raise failure(SERVICE, answer)
        return answer.fields()


def _share(fields: Mapping[str, Any]) -> float:
    done, total = fields.get("downloaded_bytes"), fields.get("total_size_bytes")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
        return 0.0
    return min(1.0, done / total)
