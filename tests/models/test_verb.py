"""`acp-agent models` as a process of its own, against a hub on this machine."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from acp_agent.models.base import BLOCK
from tests.models.hub_server import Fault, Hub, hub_server
from tests.models.shelf import large_gguf

ENTRY = """
["gpt-oss-mine"]
hub = "me/mine-GGUF"
files = ["*.gguf"]
licence = "Apache-2.0"
title = "a model of mine"
"""
INSTALL = ("install", "gpt-oss-mine", "--accept-license")


class Machine:
    """A home of its own, with a hub that has one model of two blocks and a bit."""

    def __init__(self, base: Path, hub: Hub) -> None:
        self.hub = hub
        self.data = base / "data" / "acp-agent" / "models"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(base),
            "HF_ENDPOINT": hub.endpoint,
            "NO_PROXY": "127.0.0.1",
            "XDG_DATA_HOME": str(base / "data"),
            "XDG_CONFIG_HOME": str(base / "config"),
            "XDG_CACHE_HOME": str(base / "cache"),
            "XDG_RUNTIME_DIR": str(base / "runtime"),
        }
        (base / "runtime").mkdir(mode=0o700)
        (base / "config" / "acp-agent").mkdir(parents=True)
        (base / "config" / "acp-agent" / "models.toml").write_text(ENTRY)
        (base / "published").mkdir()
        self.published = large_gguf(base / "published" / "gpt-oss-mine.gguf")
        hub.publish("me/mine-GGUF", base / "published")

    @contextmanager
    def start(self, *words: str) -> Generator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "acp_agent", "models", *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def lines(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and what was said in JSON."""
        code, out, err = self.run(*words, "--json")
        assert err == ""
        return code, [json.loads(line) for line in out.splitlines()]

    @property
    def weights(self) -> Path:
        (found,) = self.data.glob("gpt-oss-mine/*/gpt-oss-mine.gguf")
        return found

    def downloads(self) -> list[str]:
        """Return the ranges that were asked for, but for looks at the head."""
        return self.hub.ranges()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with hub_server() as hub:
        yield Machine(tmp_path, hub)


@pytest.fixture
def installed(machine: Machine) -> Machine:
    code, _, err = machine.run(*INSTALL)
    assert code == 0, err
    return machine


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def until_downloading(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if said["event"] == "progress" and said["stage"] == "downloading" and said["done"]:
            return
    raise AssertionError("it ended before it downloaded anything")


def test_install_brings_the_model_and_says_how_to_go_on(machine: Machine) -> None:
    code, out, err = machine.run(*INSTALL)
    assert (code, machine.weights.read_bytes()) == (0, machine.published.read_bytes())
    assert out.startswith(f"gpt-oss-mine is installed (134.2 MB): {machine.weights}\nGo on with")
    assert "gpt-oss-mine comes under the licence Apache-2.0 (its text: /" in err
    assert "134.2 MB to download from hub:me/mine-GGUF" in err
    assert machine.run("status", "gpt-oss-mine")[0] == 0


def test_without_a_terminal_the_licence_has_to_be_accepted_by_a_flag(machine: Machine) -> None:
    code, out, err = machine.run("install", "gpt-oss-mine")
    assert (code, out) == (1, "")
    assert "the licence of gpt-oss-mine has to be accepted first: read it, and add" in err
    assert machine.hub.asked == []


def test_a_killed_install_leaves_a_partial_that_the_next_one_goes_on_with(
    machine: Machine,
) -> None:
    machine.hub.faults.append(Fault("store", pace=0.01, times=2))
    with machine.start(*INSTALL, "--json") as process:
        until_downloading(process)
        process.send_signal(signal.SIGKILL)
    code, said = machine.lines("status", "gpt-oss-mine")
    assert (code, said[0]["state"]) == (1, "partial")
    assert 0 < said[0]["done"] < machine.published.stat().st_size
    machine.hub.faults.clear()
    machine.hub.asked.clear()
    assert machine.run(*INSTALL)[0] == 0
    assert machine.run("verify")[:2] == (0, "gpt-oss-mine is whole: 1 file, 134.2 MB\n")
    assert [asked for asked in machine.downloads() if asked not in ("", "bytes=0-")] != []


def test_a_hub_that_is_busy_is_asked_again_and_the_user_is_told(machine: Machine) -> None:
    machine.hub.faults.append(Fault("api", status=503))
    code, _, err = machine.run(*INSTALL)
    assert code == 0
    (told,) = [line for line in err.splitlines() if line.startswith("cannot ask hub:me/mine-GGUF")]
    assert told.endswith("; again in 1 s")


def test_an_interrupt_says_that_what_came_is_kept(machine: Machine) -> None:
    machine.hub.faults.append(Fault("store", pace=0.01, times=2))
    with machine.start(*INSTALL, "--json") as process:
        until_downloading(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    said = json.loads(out.splitlines()[-1])
    assert said["text"] == "stopped; what came is kept, and the same command goes on from there"


def test_a_flipped_byte_is_named_and_only_its_block_is_fetched_again(installed: Machine) -> None:
    flip(installed.weights, BLOCK + 5)
    code, out, err = installed.run("verify", "gpt-oss-mine")
    sentence = "gpt-oss-mine.gguf holds other bytes than it should in block 1 of 3"
    assert (code, out) == (1, f"gpt-oss-mine: {sentence}\n")
    assert "mend it with: acp-agent models repair gpt-oss-mine" in err
    assert installed.lines("status", "gpt-oss-mine")[1][0]["state"] == "damaged"
    installed.hub.asked.clear()
    code, said = installed.lines("repair", "gpt-oss-mine")
    assert (code, said[-1]["fetched"]) == (0, BLOCK)
    assert [r.partition("-")[0] for r in installed.downloads()] == [f"bytes={BLOCK}"]
    assert installed.weights.read_bytes() == installed.published.read_bytes()
    assert installed.lines("status", "gpt-oss-mine")[1][0]["state"] == "ready"


def test_a_broken_manifest_is_named_and_mended_without_a_download(installed: Machine) -> None:
    (installed.data / "gpt-oss-mine" / "manifest.json").write_text("{")
    code, out, _ = installed.run("verify")
    assert (code, out) == (1, "gpt-oss-mine cannot be verified: its manifest is not JSON\n")
    code, said = installed.lines(*INSTALL)
    assert code == 0
    assert [line["bytes"] for line in said if line["event"] == "download"] == [0]
    assert installed.run("verify")[0] == 0


def test_a_truncated_file_gets_back_what_it_lost(installed: Machine) -> None:
    os.truncate(installed.weights, 2 * BLOCK + 1)
    code, said = installed.lines("repair", "gpt-oss-mine")
    assert (code, said[-1]["fetched"]) == (0, 12_345)
    assert installed.run("verify")[0] == 0


def test_two_installers_at_once_share_one_download(machine: Machine) -> None:
    machine.hub.faults.append(Fault("store", pace=0.0005, times=2))
    with machine.start(*INSTALL, "--json") as first:
        until_downloading(first)
        with machine.start(*INSTALL, "--json") as second:
            out, _ = second.communicate(timeout=60)
            first.communicate(timeout=60)
    said = [json.loads(line) for line in out.splitlines()]
    assert (first.returncode, second.returncode) == (0, 0)
    events = [line["event"] for line in said]
    assert (events[0], events[-1]) == ("waiting", "installed")
    assert "progress" in events
    assert "download" not in events  # that was the other's
    assert len(machine.downloads()) == 2  # the head, and the whole


def test_remove_and_gc_leave_nothing_behind(installed: Machine) -> None:
    assert installed.run("gc")[1] == "there is nothing to clear away\n"
    other = installed.weights.parent.with_name("older")
    other.mkdir()
    (other / "old.gguf").write_bytes(b"old")
    said = installed.lines("gc", "--dry-run")[1]
    assert [(line["event"], line["bytes"]) for line in said] == [("gone", 3), ("cleared", 3)]
    assert installed.run("gc")[0] == 0
    assert not other.exists()
    code, out, _ = installed.run("remove", "gpt-oss-mine")
    assert (code, out) == (0, "gpt-oss-mine is removed, 134.2 MB are free again\n")
    assert [path.name for path in installed.data.iterdir()] == [".locks"]


def test_list_says_what_there_is_and_what_can_be_had(installed: Machine) -> None:
    code, said = installed.lines("list")
    states = {line["name"]: line["state"] for line in said}
    assert code == 0
    assert states["gpt-oss-mine"] == "ready"
    assert states["gpt-oss-20b"] == states["gpt-oss-20b:Q4_K_M"] == "absent"
    assert "gpt-oss-120b" in states


def test_the_doctor_finds_what_is_installed(installed: Machine) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "acp_agent", "doctor", "--json"],
        env=installed.env | {"ACP_AGENT_SANDBOX": "off"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = {f["part"]: f["text"] for f in json.loads(ran.stdout)["findings"]}
    assert str(installed.weights) in found["model"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("install", "gpt-os-20b"), "no model is called 'gpt-os-20b'; near it: gpt-oss-20b"),
        (("install", "hub", "me/nothing:x.gguf", "--accept-license"), "me/nothing"),
        (("install", "me/mine-GGUF"), "of Hugging Face, say: hub me/mine-GGUF"),
        (("install", "/nowhere/x.gguf"), "there is no file '/nowhere/x.gguf'"),
        (("install", "ollama:"), "name a model of ollama, such as ollama:gpt-oss:20b"),
        (("install", "gpt-oss-mine", "--name", "../x"), "'../x' is no name for a model"),
        (("verify", "../../etc"), "'../../etc' is no name for a model"),
        (("repair", "gpt-oss-20b"), "install it with: acp-agent models install gpt-oss-20b"),
        (("remove", "gpt-oss-mine"), "'gpt-oss-mine' is not installed"),
        (("status", "nothing"), "'nothing' is not installed; installed: none"),
        (("add", "/nowhere.gguf"), "'/nowhere.gguf' cannot be read: No such file or directory"),
    ],
)
def test_bad_input_gets_a_sentence(machine: Machine, words: tuple[str, ...], message: str) -> None:
    code, out, err = machine.run(*words)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    assert machine.lines(*words)[1][-1]["event"] == "failed"


def on_a_terminal(machine: Machine, answers: str) -> tuple[int, str]:
    """Return the exit code, and what a user sees who types `answers`."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "acp_agent", "models", "install", "gpt-oss-mine"]
    with subprocess.Popen(
        command, env=machine.env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        seen = bytearray()
        with suppress(OSError):  # how Linux tells that the other side is closed
            while piece := os.read(ours, 65_536):
                seen += piece
        process.wait(timeout=60)
    os.close(ours)
    return process.returncode, seen.decode()


def test_on_a_terminal_the_licence_can_be_read_and_accepted(machine: Machine) -> None:
    code, seen = on_a_terminal(machine, "what\nr\ny\n")
    assert code == 0
    assert "Do you accept it?" in seen
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in seen
    assert "of 134.2 MB" in seen
    accepted = machine.lines("status")[1][0]["manifest"]["accepted"]
    assert accepted["licence"] == "Apache-2.0"


def test_a_licence_that_is_not_accepted_installs_nothing(machine: Machine) -> None:
    code, seen = on_a_terminal(machine, "n\n")
    assert code == 1
    assert "gpt-oss-mine is not installed, for its licence was not accepted" in seen
    assert machine.hub.asked == []


def test_a_provider_that_is_not_there_is_told(machine: Machine) -> None:
    machine.env["OLLAMA_BASE_URL"] = "http://127.0.0.1:9"
    code, _, err = machine.run("install", "ollama:gpt-oss:20b")
    assert code == 1
    assert "Ollama" in err
    assert "http://127.0.0.1:9" in err


def test_a_store_that_is_a_file_gets_a_sentence_and_stays(machine: Machine) -> None:
    machine.data.parent.mkdir(parents=True)
    machine.data.write_text("mine")
    code, _, err = machine.run(*INSTALL)
    assert code == 1
    assert "models cannot be kept in" in err
    assert machine.data.read_text() == "mine"


def test_a_broken_file_of_own_entries_is_misuse(machine: Machine) -> None:
    file = Path(machine.env["XDG_CONFIG_HOME"], "acp-agent", "models.toml")
    file.write_text("[x]\nurl = 1")
    code, _, err = machine.run("list")
    assert (code, err) == (2, f"acp-agent: {file}: model 'x': url must be a string, not 1\n")
