"""What `llama-server --help` says: entries of three ages, as the real program lays them out."""

from __future__ import annotations

COMMON = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-tb,   --threads-batch N                number of threads to use during batch and prompt processing
                                        (default: same as --threads)
-c,    --ctx-size N                     size of the prompt context (default: 4096)
                                        (env: LLAMA_ARG_CTX_SIZE)
-b,    --batch-size N                   logical maximum batch size (default: 2048)
-ub,   --ubatch-size N                  physical maximum batch size (default: 512)
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16, bf16, q8_0, q4_0
-ctv,  --cache-type-v TYPE              KV cache data type for V
-m,    --model FNAME                    model path
                                        (env: LLAMA_ARG_MODEL)
-np,   --parallel N                     number of parallel sequences to decode (default: 1)
--swa-full                              use full-size SWA cache (default: false)

----- example-specific params -----

-a,    --alias STRING                   set alias for model name (to be used by REST API)
--host HOST                             ip address to listen (default: 127.0.0.1)
--port PORT                             port to listen (default: 8080)
--cache-reuse N                         min chunk size to attempt reusing from the cache
"""

KEY = """\
--api-key KEY                           API key to use for authentication (default: none)
                                        (env: LLAMA_API_KEY)
--api-key-file FNAME                    path to file containing API keys (default: none)
"""

NEW = (
    COMMON
    + KEY
    + """\
-cram, --cache-ram N                    set the maximum cache size in MiB (default: 8192, -1 - no
                                        limit, 0 - disable)
-kvu,  --kv-unified, -no-kvu, --no-kv-unified
                                        use single unified KV buffer shared across all sequences
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default:
                                        'auto')
-lm,   --load-mode MODE                 how to load the model: auto, none, mmap, mlock, dio
--mmap, --no-mmap                       DEPRECATED in favor of --load-mode
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM, an exact number,
                                        'auto', or 'all' (default: auto)
--offline                               Offline mode: forces use of cache, prevents network access
--slots, --no-slots                     expose slots monitoring endpoint (default: enabled)
--ui, --no-ui                           whether to enable the Web UI (default: enabled)
"""
)

# Of the summer in which gpt-oss appeared.
OLD = (
    COMMON
    + KEY
    + """\
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
                                        (env: LLAMA_ARG_FLASH_ATTN)
--no-mmap                               do not memory-map model (slower load that swaps less)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
--slots                                 enable slots monitoring endpoint (default: disabled)
--no-webui                              Disable the Web UI (default: enabled)
"""
)

# Knows next to nothing, and takes its key from a file only.
BARE = (
    COMMON
    + """\
--slots                                 enable slots monitoring endpoint (default: disabled)
--api-key KEY                           API key to use for authentication (default: none)
--api-key-file FNAME                    path to file containing API keys (default: none)
"""
)

AGES = {"new": NEW, "old": OLD, "bare": BARE}
