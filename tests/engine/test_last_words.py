"""Real logs of llama.cpp, and the one sentence that the user reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.engine.last_words import explain

START = """\
0.00.000.338 I srv          init: initializing ...
0.00.004.138 I srv    load_model: loading model '/m/a.gguf'
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "0.00.002.750 E srv         start: couldn't bind HTTP server socket, hostname:"
            " 127.0.0.1, port: 18777\n"
            "0.00.005.217 E srv          init: exiting due to HTTP server error\n",
            "port 18777 is in use; set GPT_OSS_PORT to another one, or to 0 for any free one",
        ),
        (
            "0.00.003.371 E gguf_init_from_reader: invalid magic characters: '??9?', expected"
            " 'GGUF'\n0.00.003.375 E llama_model_load: error loading model: llama_model_loader:"
            " failed to load model from /m/a.gguf\n",
            "/m/a.gguf is not a GGUF file",
        ),
        (
            "0.00.060.528 E read: string length 10 exceeds remaining file size 3 bytes\n"
            "0.00.075.469 E gguf_init_from_reader: failed to read key-value pairs\n",
            "/m/a.gguf is incomplete; get it again",
        ),
        (
            "0.01.060.528 E llama_model_load: error loading model: tensor 'output.weight' data is"
            " not within the file bounds, model is corrupted or incomplete\n",
            "/m/a.gguf is incomplete; get it again",
        ),
        (
            "0.01.060.528 E llama_model_load: error loading model: unknown model architecture:"
            " 'gpt-osz'\n",
            "/m/a.gguf holds a model of the kind 'gpt-osz', which this llama.cpp does not know",
        ),
        (
            "0.01.060.528 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of"
            " size 68719476736\n",
            "there is not enough memory for /m/a.gguf; use smaller weights or less context"
            " (GPT_OSS_CTX)",
        ),
        (
            "0.01.060.528 E llama_model_load: error loading model: missing tensor 'x'\n",
            "cannot load /m/a.gguf: missing tensor 'x'",
        ),
        (
            "0.01.060.528 E srv    load_model: something new\n",
            "cannot run /m/a.gguf: load_model: something new",
        ),
        (
            'Traceback (most recent call last):\n  File "x", line 1\n'
            "ModuleNotFoundError: No module named 'xllamacpp'\n",
            "cannot run /m/a.gguf: ModuleNotFoundError: No module named 'xllamacpp'",
        ),
        ("", "the engine for /m/a.gguf ended without a word, perhaps for lack of memory"),
    ],
)
def test_a_log_becomes_one_sentence(log: str, words: str) -> None:
    assert explain(START + log, "/m/a.gguf") == words


@given(st.text(), st.text())
def test_any_log_becomes_some_sentence(log: str, model: str) -> None:
    assert explain(log, model)
