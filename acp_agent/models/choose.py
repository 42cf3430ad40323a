"""What a user names to install: a model of the catalog, a repository, an address, a path.

Or what the settings name, where a model is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from acp_agent.config import Settings
from acp_agent.errors import ConfigError
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import MXFP4_20B, MXFP4_120B, Catalog, Entry
from acp_agent.models.entries import entries_file, read_entries
from acp_agent.models.names import check_name, first_weights, slug
from acp_agent.models.origin import Origin
from acp_agent.paths import user_path

PROVIDERS = ("ollama", "lmstudio")  # who download models themselves


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that another program downloads and keeps, such as `ollama` its `gpt-oss:20b`."""

    provider: str
    model: str


def missing_entry(settings: Settings) -> Entry:
    """Return what to install where no model is: the one that the settings name, else the 20B.

    Mode `gptoss_120b` names the 120B. What our engine does not serve as gpt-oss is no answer.
    """
    try:
        catalog = Catalog(read_entries(entries_file()))
    except ConfigError:  # which `models list` explains
        catalog = Catalog()
    is_larger = settings.mode == "gptoss_120b" and settings.model == Settings().model
    found = catalog.find(MXFP4_120B.name if is_larger else settings.model)
    if found and (found.format, found.architecture) == ("gguf", "gpt-oss"):
        return found
    return catalog.named(MXFP4_20B.name)


def choose(words: Sequence[str], catalog: Catalog, name: str = "") -> Entry | Pulled:
    """Return what is meant; under another `name` if one is given.

    Raises:
        InstallFailed: Nothing is called so; the text says what comes near.

    """
    try:
        chosen = _chosen([word.strip() for word in words], catalog)
        if not name:
            return chosen
        if isinstance(chosen, Pulled):
            raise InstallFailed(f"{chosen.provider} names its models itself; leave --name out")
        return replace(chosen, name=check_name(name))
    except ValueError as error:
        raise InstallFailed(str(error)) from None


def _chosen(words: list[str], catalog: Catalog) -> Entry | Pulled:
    if words[:1] == ["hub"]:
        return _of_hub(words[1:])
    if len(words) != 1 or not words[0]:
        raise InstallFailed(
            "name one model: a name of the list, hub OWNER/NAME:FILE, a path, a URL"
        )
    text = words[0]
    provider, colon, model = text.partition(":")
    if colon and provider in PROVIDERS:
        if not model:
            raise InstallFailed(f"name a model of {provider}, such as {provider}:gpt-oss:20b")
        return Pulled(provider, model)
    if re.match("https?://", text):
        return _of_url(text)
    if catalog.find(text):
        return catalog.named(text)
    if text.startswith(("/", "~", ".")) or text.endswith(".gguf"):
        return _of_path(text)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:.+)?", text):
        raise InstallFailed(f"no model is called {text!r}; of Hugging Face, say: hub {text}")
    return catalog.named(text)


def _of_hub(words: list[str]) -> Entry:
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?::(.+))?", " ".join(words))
    if found is None:
        raise InstallFailed("say: hub OWNER/NAME, or hub OWNER/NAME:FILE")
    repository, file = found[1], found[2] or "*.gguf"
    stem = file.rpartition("/")[2].removesuffix(".gguf")
    name = slug(repository.rpartition("/")[2] if "*" in stem or not found[2] else stem)
    return Entry(name, f"{repository} of Hugging Face", Origin("hub", repository, (file,)))


def _of_url(text: str) -> Entry:
    try:
        address = urlsplit(text)
        host = address.hostname
    except ValueError:
        host, address = None, urlsplit("")
    if not host:
        raise InstallFailed(f"{text!r} is no address")
    file = unquote(address.path).rpartition("/")[2]
    name = slug(file.removesuffix(".gguf"))
    return Entry(name, f"{file} of {host}", Origin("url", text))


def _of_path(text: str) -> Entry:
    path = user_path(text).absolute()
    try:
        there = path.is_dir() or path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InstallFailed(f"there is no file {text!r}")
    if path.is_dir() and not first_weights(tuple(p.name for p in path.iterdir())):
        raise InstallFailed(f"{text!r} is a directory without a GGUF file")
    return Entry(slug(path.name.removesuffix(".gguf")), path.name, Origin("path", str(path)))
