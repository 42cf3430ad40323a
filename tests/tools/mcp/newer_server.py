"""The good server behind a door that refuses the handshake, as one of the newer protocol may."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

GOOD = str(Path(__file__).with_name("good_server.py"))


def main() -> None:
    with subprocess.Popen([sys.executable, GOOD, "rich"], stdin=subprocess.PIPE) as server:
        assert server.stdin is not None
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            if request.get("method") == "initialize":
                error = {"code": -32601, "message": "Method not found"}
                answer = {"jsonrpc": "2.0", "id": request["id"], "error": error}
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
            else:
                server.stdin.write(line.encode())
                server.stdin.flush()


if __name__ == "__main__":
    main()
