"""Asks an address whether an engine answers there, without waiting long."""

from __future__ import annotations

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint

PATIENCE = 0.5


async def answers(endpoint: Endpoint) -> bool:
    """Tell whether a llama.cpp server answers, be it ready, loading, or wanting another key."""
    with anyio.move_on_after(PATIENCE):
        try:
            async with http.request("GET", endpoint.at("/health")) as response:
                return response.headers.get("server") == "llama.cpp"
        except http.HttpError:
            return False
    return False
