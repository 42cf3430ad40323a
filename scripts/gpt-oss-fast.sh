#!/bin/sh
PATH="$(dirname "$(readlink -f "$0")")/../.venv/bin:$PATH" GPT_OSS_PORT="${GPT_OSS_PORT:-8000}" GPT_OSS_KEEPALIVE_SECS="${GPT_OSS_KEEPALIVE_SECS:-1}" exec acp-agent engine start --warm "$@"
