#!/bin/sh
PATH="$(dirname "$(readlink -f "$0")")/../.venv/bin:$PATH" exec acp-agent engine stop --keepalive "$@"
