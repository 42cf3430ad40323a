"""Selectors, and what a wrong one is answered with."""

from __future__ import annotations

import re

import pytest

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.select import (
    PROVIDERS,
    Selector,
    make_backend,
    parse_selector,
    require_model,
)
from acp_agent.errors import ConfigError
from acp_agent.ports import Availability
from tests.backends.compliance import HTML
from tests.backends.ollama_dialect import SHOWN
from tests.backends.stand_in import WRONG_KEY, answer, stand_in
from tests.backends.vllm_dialect import MODELS as SERVED

pytestmark = pytest.mark.anyio
MODELS = answer(200, {"data": [{"id": "qwen3:4b"}, {"id": "gpt-oss:20b"}]})


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("ollama:gpt-oss:20b", Selector("ollama", "gpt-oss:20b")),
        ("lmstudio:openai/gpt-oss-20b", Selector("lmstudio", "openai/gpt-oss-20b")),
        (" fm_serve : system ", Selector("fm_serve", "system")),
        ("foundation_bridge", Selector("foundation_bridge", "")),
        ("apfel:", Selector("apfel", "")),
    ],
)
def test_a_selector_is_split_at_its_first_colon(text: str, selector: Selector) -> None:
    assert parse_selector(text) == selector


@pytest.mark.parametrize("text", ["", ":", "olama:qwen3:4b", ":qwen3:4b", "qwen3:4b"])
def test_an_unknown_provider_is_answered_with_the_known_ones(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown provider .*; known: ollama, lmstudio, llamacpp, vllm,"
    ):
        parse_selector(text)


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "apple_fm"])
async def test_every_provider_makes_a_backend_for_the_model(provider: str) -> None:
    variables = {"OPENAI_BASE_URL": "http://127.0.0.1:9"}
    backend = make_backend(Selector(provider, "some:model"), variables)
    assert backend.default_model == "some:model"
    assert (await backend.is_available()).state in ("unavailable", "ready", "loading")


@pytest.mark.parametrize(
    "provider", [name for name, provider in PROVIDERS.items() if provider.url_variable]
)
async def test_what_is_wrong_at_an_address_is_told_with_the_variable_that_names_it(
    provider: str,
) -> None:
    known = PROVIDERS[provider]
    async with stand_in(HTML) as there:
        variables = {known.url_variable: there.endpoint.url}
        found = await make_backend(Selector(provider, "m"), variables).is_available()
    assert found.state == "unavailable"
    assert found.reason.startswith(f"what answers at {there.endpoint.url} is not ")
    assert found.reason.endswith(f"; set {known.url_variable}")


@pytest.mark.parametrize(
    "provider", [name for name, provider in PROVIDERS.items() if provider.key_variable]
)
async def test_a_wrong_key_is_told_with_the_variable_that_names_it(provider: str) -> None:
    known = PROVIDERS[provider]
    async with stand_in(answer(401, WRONG_KEY)) as there:
        variables = {known.url_variable: there.endpoint.url, known.key_variable: "secret"}
        found = await make_backend(Selector(provider, "m"), variables).is_available()
    assert "authorization: Bearer secret" in there.asked[0]
    assert found == Availability(
        "unavailable",
        f"{found.reason.partition(' wants')[0]} wants another key (HTTP 401);"
        f" set {known.key_variable}",
    )


@pytest.mark.parametrize(
    ("selector", "variable", "reply", "usual"),
    [
        (Selector("ollama", "gpt-oss:20b"), "OLLAMA_BASE_URL", SHOWN, 16_384),
        (Selector("vllm", "openai/gpt-oss-120b"), "VLLM_BASE_URL", SERVED, 131_072),
    ],
    ids=["ollama", "vllm"],
)
async def test_the_wanted_context_is_had_or_else_the_usual_one(
    selector: Selector, variable: str, reply: object, usual: int
) -> None:
    async with stand_in(answer(200, reply)) as there:
        variables = {variable: there.endpoint.url}
        sizes = [
            await make_backend(selector, variables, context).context_size() for context in (0, 8192)
        ]
    assert sizes == [usual, 8192]


async def test_address_and_key_come_from_the_variables() -> None:
    async with stand_in(MODELS) as there:
        variables = {"LMSTUDIO_BASE_URL": there.endpoint.url + "/v1/", "LM_API_TOKEN": "secret"}
        backend = make_backend(parse_selector("lmstudio:qwen3:4b"), variables)
        await require_model(backend)
    assert there.asked[0].startswith("GET /v1/models HTTP/1.1\r\n")
    assert "authorization: Bearer secret" in there.asked[0]


@pytest.mark.parametrize("provider", ["openai_chat", "openai_responses"])
def test_a_provider_without_an_address_asks_for_one(provider: str) -> None:
    with pytest.raises(ConfigError, match=f"{provider} has no address; set OPENAI_BASE_URL"):
        make_backend(Selector(provider, ""), {})


@pytest.mark.parametrize("url", ["localhost:1234", "ftp://a", "http://", "http://a b"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(url.removesuffix("//"))):
        make_backend(Selector("lmstudio", ""), {"LMSTUDIO_BASE_URL": url})


def test_apples_own_package_has_one_model() -> None:
    backend = make_backend(parse_selector("apple_fm"), {})
    assert make_backend(Selector("apple_fm", backend.default_model), {}).name == "apple_fm"
    with pytest.raises(ConfigError, match=f"unknown model 'big' .* known: {backend.default_model}"):
        make_backend(Selector("apple_fm", "big"), {})


def test_a_selector_made_by_hand_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="unknown provider 'olama'"):
        make_backend(Selector("olama", "m"), {})


async def test_a_name_without_a_tag_is_the_latest() -> None:
    listed = answer(200, {"models": [{"name": "qwen3:latest"}]})
    async with stand_in(listed) as there:
        variables = {"OLLAMA_BASE_URL": there.endpoint.url}
        await require_model(make_backend(Selector("ollama", "qwen3"), variables))


async def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    async with stand_in(MODELS) as there:
        backend = openai_chat(fixed(there.endpoint), model="qwen")
        with pytest.raises(ConfigError) as caught:
            await require_model(backend)
    assert str(caught.value) == (
        "unknown model 'qwen' of openai_chat; known: qwen3:4b, gpt-oss:20b"
    )
