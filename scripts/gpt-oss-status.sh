#!/bin/sh
PATH="$(dirname "$0")/../.venv/bin:$PATH" acp-agent engine status "$@" || [ $? -eq 1 ]
