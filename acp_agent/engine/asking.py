"""What the host asks the server beside it; with the standard library, without waiting long."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

SECONDS = 5.0
WARMING_SECONDS = 10.0


class Asker:
    """Asks the server at `url`, which is on this machine, whatever proxies are set."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._opener = build_opener(ProxyHandler({}))

    def get(self, path: str) -> Any:
        """Return the answer; None if there is none, or no good one."""
        return self._ask(Request(self._url + path, headers=self._headers), SECONDS)

    def warm(self, tokens: int) -> None:
        """Let it generate `tokens` from next to nothing."""
        body = json.dumps({"prompt": ".", "n_predict": tokens, "temperature": 0}).encode()
        url = f"{self._url}/completion"
        self._ask(Request(url, body, self._headers, method="POST"), WARMING_SECONDS)

    def _ask(self, request: Request, seconds: float) -> Any:
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None
