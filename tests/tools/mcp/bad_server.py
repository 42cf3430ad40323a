"""MCP servers that do not work: `python bad_server.py HOW`; without the package, so they are quick.

`crash` ends at once, `hang` never answers, `nonsense` says what is no MCP, `hang-list` answers the
introduction only, `hang-call` all but calls, `stubborn` as that, and will not go.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

TOOL = {"name": "work", "description": "Work.", "inputSchema": {"type": "object"}}
ABOUT: dict[str, object] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "bad", "version": "1"},
}


def answer(request: dict[str, Any], result: object) -> None:
    message = {"jsonrpc": "2.0", "id": request["id"], "result": result}
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(how: str) -> None:
    if how == "crash":
        sys.stderr.write(f"starting\nModuleNotFoundError: no {os.environ.get('KEY')}\n")
        sys.exit(7)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if how == "nonsense":
            sys.stdout.write("hello\n{}\n[]\n\x00\xff\n")
            sys.stdout.flush()
        elif method == "initialize" and how != "hang":
            answer(request, ABOUT)
        elif method == "tools/list" and how in ("hang-call", "stubborn"):
            answer(request, {"tools": [TOOL]})
        elif method == "tools/list" and how == "broken-list":
            answer(request, {"tools": [{"name": 5}]})
    if how == "stubborn":
        while True:
            signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
