"""Where this program keeps files: cache, state, models and runtime, private to the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAME = "acp-agent"
_DATA = (".local/share", "Library/Application Support")
_MODELS = "models"


def cache_dir() -> Path:
    """Return the directory of what can be made again (vocabulary, demo weights)."""
    return _made("XDG_CACHE_HOME", ".cache", "Library/Caches")


def state_dir() -> Path:
    """Return the directory of what the user would miss (logs, sessions)."""
    return _made("XDG_STATE_HOME", ".local/state", "Library/Application Support")


def state_path() -> Path:
    """Return where `state_dir` is or would be; nothing is made."""
    return _place("XDG_STATE_HOME", ".local/state", "Library/Application Support")


def make_private(path: Path) -> None:
    """Make a directory, and those above it that are missing, for the user alone."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def models_dir() -> Path:
    """Return the directory of the weights that this program has fetched."""
    path = _made("XDG_DATA_HOME", *_DATA) / _MODELS
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def models_path() -> Path:
    """Return where `models_dir` is or would be; nothing is made."""
    return _place("XDG_DATA_HOME", *_DATA) / _MODELS


def config_file() -> Path:
    """Return the path of the settings file, which need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / NAME / "config.toml"


def user_path(text: str) -> Path:
    """Return the path that a user wrote, `~` resolved; as it is where there is no such home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def private_paths() -> tuple[Path, ...]:
    """Return where cache, state, data and runtime files are or would be; nothing is made."""
    return (
        _place("XDG_CACHE_HOME", ".cache", "Library/Caches"),
        state_path(),
        _place("XDG_DATA_HOME", *_DATA),
        _runtime_path(),
    )


def runtime_dir() -> Path:
    """Return the directory of locks and addresses of what runs now; ours alone (0700)."""
    path = _runtime_path()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = path.lstat()
    if owner.st_uid != os.getuid() or path.is_symlink():
        raise PermissionError(
            f"{path} belongs to someone else; set XDG_RUNTIME_DIR to a directory of yours"
        )
    path.chmod(0o700)
    return path


def _runtime_path() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / NAME
    import tempfile  # 3 ms that a start does without

    return Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"


def _made(variable: str, linux: str, mac: str) -> Path:
    path = _place(variable, linux, mac)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _place(variable: str, linux: str, mac: str) -> Path:
    base = os.environ.get(variable)
    home = Path.home() / (mac if sys.platform == "darwin" else linux)
    return (Path(base) if base else home) / NAME
