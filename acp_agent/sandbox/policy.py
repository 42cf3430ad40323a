"""From settings and workspace to what commands may touch.

`workspace-write`: the whole disk can be read but what is hidden, the workspace can be written but
what is protected. `read-only`: only temporary files can be written. `off`: no sandbox.

In a repository `.git/hooks` and `.git/config` are protected, because the user's own git would run
what they name; the rest of `.git` can be written, so that `git commit` works in the sandbox, with
the hooks of the repository inside it too. Bind mounts pin `.git` itself: it cannot be renamed and
made anew. The same goes for repositories below the workspace, and for this program's settings and
its own code, should they lie in the workspace: it runs its code outside of any sandbox. Submodules
and linked worktrees are read-only: commits there run outside, if the user lets them. What no policy
stops: a repository made since, which the user then enters; and, until the command ends, a
`.git/commondir`, which leads git elsewhere for its settings.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from acp_agent import paths
from acp_agent.sandbox.base import Limits, Policy
from acp_agent.sandbox.gitlinks import gitlinks
from acp_agent.sandbox.repositories import absences, deciding, is_gits, repositories

Mode = Literal["workspace-write", "read-only", "off"]

# For commands: builds are larger than what a model calculates.
COMMANDS = Limits(memory=8192, processes=1024, cpus=float(os.cpu_count() or 2), scratch=4096)

# Below the home directory: keys, passwords, browsers' cookies, sockets of container engines.
_SECRETS = """
.ssh .gnupg .aws .azure .oci .kube .docker .netrc _netrc .authinfo .authinfo.gpg .pgpass .my.cnf
.pypirc .npmrc .git-credentials .vault-token .boto .s3cfg .terraform.d .cargo/credentials
.cargo/credentials.toml .gem/credentials .password-store .local/share/password-store
.local/share/keyrings .local/share/kwalletd .local/share/gopass .electrum .bitcoin .ethereum
.config/gcloud .config/gh .config/hub .config/glab-cli .config/git/credentials .config/op
.config/containers .config/helm .config/doctl .config/rclone .config/sops .config/age
.config/Bitwarden .config/Bitwarden\\ CLI .config/keepassxc .config/gopass
.mozilla .thunderbird .config/google-chrome .config/chromium .config/BraveSoftware
.config/microsoft-edge .config/vivaldi .config/opera .cache/mozilla .cache/google-chrome
.cache/chromium .var/app snap/firefox snap/chromium
.colima .lima .rd .orbstack .local/share/containers .bash_history .zsh_history .python_history
.zhistory .local/share/fish/fish_history .psql_history .mysql_history .node_repl_history
.huggingface .cache/huggingface/token .cache/huggingface/stored_tokens .codex .claude .gemini
.config/github-copilot .m2/settings.xml .gradle/gradle.properties .composer/auth.json
.config/composer/auth.json .bundle/config .subversion/auth .databrickscfg .fly .cloudflared
.config/hcloud .config/stripe .pki
""".replace("\\ ", "\0").split()
_PACKAGE = Path(__file__).parents[1]
_ENGINES = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/lxd")


def policy_for(
    mode: Mode, roots: Sequence[Path], *, network: bool = False, limits: Limits = COMMANDS
) -> Policy:
    """Return what commands in a workspace of these directories may touch."""
    writable = _distinct(roots) if mode == "workspace-write" else ()
    gits = tuple(git for root in writable for git in repositories(root))
    linked = tuple(path for git in gits if git.name == ".git" for path in submodules(git.parent))
    ours = tuple(path for root in writable for path in own(root))
    return Policy(
        writable=(*writable, *(git for root in writable if is_gits(git := root / ".git"))),
        readable=_distinct(roots),
        protected=_there((*ours, *(path for git in gits for path in deciding(git)), *linked)),
        hidden=hidden(Path.home()),
        absent=(
            *(path for git in gits for path in absences(git)),
            *linked,
            *_no_settings(writable),
        ),
        network=network,
        limits=limits,
    )


def with_repositories(policy: Policy) -> Policy:
    """Return the policy, all of git's directories that it would leave writable protected."""
    found = (
        path
        for root in _distinct(policy.writable)
        for git in repositories(root)
        for path in (deciding(git) if git == root else (git,))
    )
    return replace(policy, protected=tuple(dict.fromkeys((*policy.protected, *found))))


def hidden(home: Path) -> tuple[Path, ...]:
    """Return what no command needs to see: secrets, container engines, this program's own state."""
    secrets = (home / name.replace("\0", " ") for name in _SECRETS)
    return (*secrets, *paths.private_paths(), *map(Path, _ENGINES))


def submodules(root: Path) -> tuple[Path, ...]:
    """Return what leads the user's git, in each submodule, to the repository of it."""
    return tuple(root / path / ".git" for path in sorted(gitlinks(root / ".git")))


def own(root: Path) -> tuple[Path, ...]:
    """Return what of this program lies in a directory: its settings and its code."""
    base = Path(os.path.realpath(root))
    places = (Path(os.path.realpath(paths.config_file().parent)), *own_code())
    return tuple(place for place in places if place.is_relative_to(base))


def own_code() -> tuple[Path, ...]:
    """Return where this program's code lies, and what runs it."""
    names = (sys.prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), _PACKAGE)
    return tuple(dict.fromkeys(Path(os.path.realpath(name)) for name in names))


def _no_settings(roots: Sequence[Path]) -> tuple[Path, ...]:
    settings = paths.config_file().parent
    return (settings,) if any(map(settings.is_relative_to, roots)) else ()


def _there(places: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(filter(os.path.exists, places)))


def _distinct(roots: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(os.path.realpath(root)) for root in roots))
