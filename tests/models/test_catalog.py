"""What can be named to be installed, and the user's own entries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acp_agent.errors import ConfigError
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import SHIPPED, Catalog, Entry
from acp_agent.models.choose import Pulled, choose
from acp_agent.models.entries import read_entries
from acp_agent.models.licences import licence_of
from acp_agent.models.names import check_name, folder_of, name_of
from acp_agent.models.origin import Origin

CATALOG = Catalog()


def test_the_shipped_models_have_names_sizes_and_a_licence_whose_text_is_here() -> None:
    for entry in SHIPPED:
        assert check_name(entry.name) == entry.name
        assert 0 < entry.size <= entry.memory + entry.size // 10
        licence = licence_of(entry)
        assert licence is not None
        assert licence.file is not None
        assert "Apache License" in licence.text


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("gpt-oss-20b", "gpt-oss-20b-mxfp4.gguf"),
        ("GPT-OSS-20B", "gpt-oss-20b-mxfp4.gguf"),
        ("gpt-oss-20b:MXFP4", "gpt-oss-20b-mxfp4.gguf"),
        ("gpt-oss-20b:q4_k_m", "gpt-oss-20b-Q4_K_M.gguf"),
        ("gpt-oss-120b", "gpt-oss-120b-mxfp4-*.gguf"),
    ],
)
def test_a_name_means_a_model_whatever_its_case(name: str, file: str) -> None:
    assert CATALOG.named(name).origin.files == (file,)


def test_a_repository_an_address_and_a_path_are_models_too(tmp_path: Path) -> None:
    path = tmp_path / "My model (new).gguf"
    path.touch()
    assert choose(["hub", "a/b-GGUF:sub/c-Q4_0.gguf"], CATALOG) == Entry(
        "c-Q4_0", "a/b-GGUF of Hugging Face", Origin("hub", "a/b-GGUF", ("sub/c-Q4_0.gguf",))
    )
    assert choose(["hub", "a/b-GGUF"], CATALOG) == Entry(
        "b-GGUF", "a/b-GGUF of Hugging Face", Origin("hub", "a/b-GGUF", ("*.gguf",))
    )
    assert choose(["https://a.org/x%20y.gguf?key=1"], CATALOG) == Entry(
        "x-y", "x y.gguf of a.org", Origin("url", "https://a.org/x%20y.gguf?key=1")
    )
    assert choose([str(path)], CATALOG, "mine") == Entry(
        "mine", path.name, Origin("path", str(path))
    )
    assert choose([str(path)], CATALOG) == Entry(
        "My-model-new", path.name, Origin("path", str(path))
    )


def test_a_providers_model_is_for_the_provider_to_download() -> None:
    assert choose(["ollama:gpt-oss:20b"], CATALOG) == Pulled("ollama", "gpt-oss:20b")
    assert choose(["lmstudio:openai/gpt-oss-20b"], CATALOG) == Pulled(
        "lmstudio", "openai/gpt-oss-20b"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpt-oss-20"], "no model is called 'gpt-oss-20'; near it: gpt-oss-20b"),
        (["zzz"], "no model is called 'zzz'; known: gpt-oss-20b, gpt-oss-20b:Q4_0"),
        ([""], "name one model"),
        (["a", "b"], "name one model"),
        (["hub"], "say: hub OWNER/NAME"),
        (["hub", "a"], "say: hub OWNER/NAME"),
        (["hub", "a/b/c"], "say: hub OWNER/NAME"),
        (["https://"], "'https://' is no address"),
        (["http://[::1"], "is no address"),
        (["~nobody/x.gguf"], "there is no file '~nobody/x.gguf'"),
        (["/\0.gguf"], "there is no file"),
        (["x.gguf"], "there is no file 'x.gguf'"),
        (["/tmp/.."], "is a directory without a GGUF file"),
        (["lmstudio:"], "name a model of lmstudio"),
    ],
)
def test_what_names_nothing_gets_a_sentence(words: list[str], message: str) -> None:
    with pytest.raises(InstallFailed, match=re.escape(message)):
        choose(words, CATALOG)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", ":a", "a:", "a:b:c", "a b", "-a", "ä"]
)
def test_what_cannot_stand_on_a_disk_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a model"):
        check_name(name)


def test_a_colon_does_not_stand_on_the_disk() -> None:
    assert folder_of("gpt-oss-20b:Q4_0") == "gpt-oss-20b@Q4_0"
    assert name_of("gpt-oss-20b@Q4_0") == "gpt-oss-20b:Q4_0"
    assert name_of(".locks") is None


OWN = """
["gpt-oss-20b"]
hub = "me/other"
files = ["x.gguf"]
revision = "v1"
licence = "MIT"
size_gb = 1.5
memory_gb = 2

[other]
url = "https://a.org/x.gguf"
architecture = "llama"

[mine]
path = "~/x.gguf"
format = "mlx"
"""


def test_a_users_own_entries_come_first(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(OWN)
    catalog = Catalog(read_entries(file))
    assert catalog.named("gpt-oss-20b") == Entry(
        "gpt-oss-20b",
        "gpt-oss-20b",
        Origin("hub", "me/other", ("x.gguf",), "v1"),
        1_500_000_000,
        2_000_000_000,
        "MIT",
    )
    assert catalog.named("other").architecture == "llama"
    assert catalog.named("mine").origin == Origin("path", str(home / "x.gguf"))
    assert catalog.named("mine").format == "mlx"
    unknown = licence_of(catalog.named("gpt-oss-20b"))
    assert unknown is not None
    assert "(MIT) is for you to read at https://huggingface.co/me/other" in unknown.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "is not TOML"),
        ("x = 1", "model 'x': must be a table"),
        ("['a/b']", "'a/b' is no name for a model"),
        ("[x]", "model 'x': needs one of hub, url, path"),
        ("[x]\nhub = 'a/b'\nurl = 'c'", "needs one of hub, url, path"),
        ("[x]\nhub = 'a/b'", "files says which"),
        ("[x]\nhub = 'a'\nfiles = ['b']", 'hub is "owner/name"'),
        ("[x]\nurl = ''", "url is empty"),
        ("[x]\nurl = 1", "url must be a string, not 1"),
        ("[x]\nurl = 'a'\nsize = 1", "unknown key 'size'; known: hub, url"),
        ("[x]\nurl = 'a'\nsize_gb = 'big'", "size_gb must be a number of gigabytes, not 'big'"),
        ("[x]\nurl = 'a'\nsize_gb = -1", "size_gb must be a number of gigabytes"),
        ("[x]\nurl = 'a'\nsize_gb = nan", "size_gb must be a number of gigabytes"),
        ("[x]\nurl = 'a'\nformat = 'zip'", "format must be one of gguf, mlx, not 'zip'"),
        ("[x]\nhub = 'a/b'\nfiles = 'c'", "files must be a list of file names, not 'c'"),
        ("[x]\nhub = 'a/b'\nfiles = ['']", "files must be a list of file names"),
    ],
)
def test_a_wrong_entry_names_the_file_the_model_and_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_entries(file)
    assert str(file) in str(caught.value)


def test_without_a_file_there_are_no_own_entries(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "models.toml") == ()
