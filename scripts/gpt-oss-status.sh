#!/bin/sh
PATH="$(dirname "$(readlink -f "$0")")/../.venv/bin:$PATH" acp-agent engine status "$@" || [ $? -eq 1 ]
