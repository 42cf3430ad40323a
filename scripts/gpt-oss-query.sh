#!/bin/sh
PATH="$(dirname "$0")/../.venv/bin:$PATH" exec acp-agent engine query "$@"
