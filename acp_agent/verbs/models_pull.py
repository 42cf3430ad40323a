"""`acp-agent models install ollama:…` and `lmstudio:…`: downloads that those programs do."""

from __future__ import annotations

from acp_agent.backends.pulling import make_puller
from acp_agent.models.base import InstallFailed, Progress
from acp_agent.models.choose import Pulled
from acp_agent.verbs.models_desk import Desk

THOUSAND = 1000  # parts that a share is told in, for they give no bytes


async def run_pull(desk: Desk, pulled: Pulled) -> int:
    """Have a provider download a model; 0 once it is there. Raises BackendError, InstallFailed."""
    puller = make_puller(pulled.provider, desk.environ)
    selector = f"{pulled.provider}:{pulled.model}"
    text = f"{pulled.provider} downloads {pulled.model}, and keeps it"
    desk.tell.note("download", text, name=selector)
    async with puller.pull(pulled.model) as states:
        async for state in states:
            if state.state == "ready":
                break
            if state.state == "unavailable":
                raise InstallFailed(f"{selector} cannot be had: {state.reason}")
            done = int((state.progress or 0.0) * THOUSAND)
            desk.tell.progress(Progress("downloading", done, THOUSAND))
    text = f"{selector} is ready.\nName it: acp-agent serve --model {selector} (docs/backends.md)."
    desk.tell.result("installed", text, name=selector)
    return 0
