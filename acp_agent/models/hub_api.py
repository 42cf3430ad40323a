"""What the Hub is asked through `huggingface_hub`, and what its refusals mean in one sentence.

The package blocks, for as long as a server likes in places, so it works in a thread that nothing
waits for: neither a cancel nor the end of the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from acp_agent.errors import AgentError
from acp_agent.models.base import InstallFailed, Interrupted, RemoteFile
from acp_agent.models.web import PASSING, busy

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

T = TypeVar("T")

ASKED_SECONDS = 10.0  # for one answer
LOOKED_SECONDS = 90.0  # for all of them, and the pauses that the package makes


@dataclass(frozen=True, slots=True)
class Hub:
    """Which hub it is, and the token that only it may see."""

    endpoint: str
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a revision of a repository is, and all files in it."""

    commit: str
    files: tuple[RemoteFile, ...]


async def reach(environ: Mapping[str, str]) -> Hub:
    """Return the hub that `environ` and the files of `hf` name. Raises InstallFailed."""
    return await _beside(lambda: _hub(environ))


async def look(hub: Hub, repo: str, revision: str) -> Seen:
    """Return what `repo` holds. Raises InstallFailed, Interrupted."""
    with anyio.move_on_after(LOOKED_SECONDS):
        return await _beside(lambda: _seen(hub, repo, revision))
    raise Interrupted(f"{hub.endpoint} gives no list of {repo!r}")


async def _beside(work: Callable[[], T]) -> T:
    """Return what `work` returns; cancelled, the thread is left to itself."""
    done, token = anyio.Event(), anyio.lowlevel.current_token()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed over to whoever waits
            errors.append(error)
        with suppress(anyio.RunFinishedError):
            anyio.from_thread.run_sync(done.set, token=token)

    threading.Thread(target=run, name="hub", daemon=True).start()
    await done.wait()
    if errors:
        raise errors[0]
    return results[0]


def _hub(environ: Mapping[str, str]) -> Hub:
    from huggingface_hub import constants, get_token  # 0.3 s

    if constants.is_offline_mode():
        raise InstallFailed(
            "the hub is not asked while HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set; unset it"
            " to download models"
        )
    endpoint = (environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise InstallFailed(
            f"HF_ENDPOINT must be an address that begins with https://, not {endpoint!r}"
        )
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return Hub(endpoint, None)
    token = environ.get("HF_TOKEN", "").strip() or get_token()
    if token and not (token.isascii() and token.isprintable()):
        raise InstallFailed("HF_TOKEN, or the stored token, has characters that no token has")
    return Hub(endpoint, token)


def _seen(hub: Hub, repo: str, revision: str) -> Seen:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # it would tell of each of its tries on stderr
    api = HfApi(hub.endpoint, token=hub.token or False)
    try:
        commit = api.model_info(repo, revision=revision, timeout=ASKED_SECONDS).sha
        if not commit:
            raise KeyError("sha")
        tree = api.list_repo_tree(repo, recursive=True, revision=commit)
        files = tuple(_remote(entry) for entry in tree if isinstance(entry, RepoFile))
    except HfHubHTTPError as error:
        answer = error.response
        about = About(hub, repo, revision)
        raise explained(answer.status_code, answer.url.host, answer.headers, about) from error
    except HFValidationError:
        raise InstallFailed(f"{repo!r} is no name of a repository; write owner/name") from None
    except httpx2.HTTPError as error:
        why = " ".join(str(error).split()) or "no answer in time"
        raise Interrupted(f"cannot reach {hub.endpoint} ({why})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstallFailed(
            f"what answers at {hub.endpoint} is no hub ({type(error).__name__}); look at"
            " HF_ENDPOINT, your network and its sign-in page"
        ) from error
    return Seen(commit, files)


def _remote(entry: RepoFile) -> RemoteFile:
    return RemoteFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else "")


@dataclass(frozen=True, slots=True)
class About:
    """What was asked for; `path` is "" for the repository itself."""

    hub: Hub
    repo: str
    revision: str
    path: str = ""


def explained(status: int, host: str, headers: Mapping[str, str], about: About) -> AgentError:
    """Return what a refusal by `host`, the hub or where it sent us, means."""
    hub, repo = about.hub, about.repo
    if status in PASSING or status >= 500:
        return busy(status, host, headers)
    code = headers.get("x-error-code", "")
    if code == "RevisionNotFound":
        return InstallFailed(
            f"{repo!r} has no revision {about.revision!r} at {hub.endpoint}; name another"
        )
    if code == "EntryNotFound":
        return InstallFailed(f"{repo!r} has no file {about.path!r}; look at its list of files")
    if headers.get("x-error-message") == "Access to this resource is disabled.":
        return InstallFailed(f"{repo!r} was taken down at {hub.endpoint}; use another source")
    if code == "GatedRepo":
        return InstallFailed(
            f"{repo!r} is for those who accept its terms: do that at {hub.endpoint}/{repo}, then"
            f" {_log_in(hub)}"
        )
    if status == 401 and hub.token:
        return InstallFailed(f"{hub.endpoint} does not know your token; {_log_in(hub)}")
    if status in (401, 404):
        private = "" if hub.token else f"; if it is private, {_log_in(hub)}"
        return InstallFailed(
            f"{hub.endpoint} has no repository {repo!r} that you may see; look at its name{private}"
        )
    if status == 403:
        return InstallFailed(f"{hub.endpoint} does not let you read {repo!r}; {_log_in(hub)}")
    return InstallFailed(f"{hub.endpoint} answers {status} for {repo!r}; use another source")


def _log_in(hub: Hub) -> str:
    other = "with a token that may read it " if hub.token else ""
    return f"log in {other}(hf auth login) or set HF_TOKEN"
