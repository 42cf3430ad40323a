"""The Hugging Face Hub on this machine: the answers that huggingface_hub 2.4 asks for, and faults.

Repositories are folders. Files of `LFS` bytes or more lie at a store with a port of its own, where
signed addresses lead, as with the real one. It serves threads, so a test may block.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS = 1000
PIECE = 1 << 16
ALWAYS = 1_000_000

Where = Literal["api", "resolve", "store"]


@dataclass
class Fault:
    """What goes wrong at `where`, `times` times; all that is not named is as it should be."""

    where: Where
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    after: int = -1  # bytes of a body, then comes `then`; at the API, 0 is silence
    then: Literal["cut", "stall"] = "cut"
    whole: bool = False  # no ranges
    wrong: bool = False  # another first byte
    size: int = -1  # the file has become this long
    packed: bool = False
    chunked: bool = False  # no content-length
    pace: float = 0.0  # seconds between pieces of 64 KiB
    times: int = 1


@dataclass(frozen=True)
class Asked:
    """A request that came; `token` is what it authorised itself with."""

    where: Where
    path: str
    range: str = ""
    token: str = ""


@dataclass
class Repo:
    """The files below `folder`, at the one `commit` that `revisions` name."""

    folder: Path
    commit: str
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    token: str = ""  # what a private one is read with

    def files(self) -> dict[str, Path]:
        paths = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


class Hub:
    """Which repositories there are, which faults are to come, and what was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.page = 1000  # entries of a tree
        self.tokens = {"hf_known"}
        self.errors: list[BaseException | None] = []
        self.ended = threading.Event()
        self.endpoint = self.store = ""
        self._lock = threading.Lock()

    def publish(self, repo: str, folder: Path, **more: Any) -> Repo:
        """Serve `folder` as `repo`; its commit is made of the name."""
        commit = hashlib.sha1(repo.encode()).hexdigest()
        self.repos[repo] = Repo(folder, commit, **more)
        return self.repos[repo]

    def fault(self, where: Where) -> Fault:
        """Return what is to go wrong this time; used up by that."""
        with self._lock:
            for fault in self.faults:
                if fault.where == where and fault.times > 0:
                    fault.times -= 1
                    return fault
        return Fault(where)

    def ranges(self, where: Where = "store") -> list[str]:
        """Return the ranges that were asked for there, "" for the whole."""
        return [asked.range for asked in self.asked if asked.where == where]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return _digest(path, path.stat().st_size, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    if size > 1 << 30:  # that takes seconds, and such a file is only known by its ETag here
        return hashlib.sha256(str(path).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def hub_server() -> Generator[Hub]:
    """Serve a hub without repositories; `endpoint` is for HF_ENDPOINT."""
    hub = Hub()
    with _serving(hub, _HubHandler) as hub.endpoint, _serving(hub, _StoreHandler) as hub.store:
        try:
            yield hub
        finally:
            hub.ended.set()
    assert hub.errors == []


class _Server(ThreadingHTTPServer):
    hub: Hub
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what the test must hear of; clients may be killed."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.hub.errors.append(error)


@contextmanager
def _serving(hub: Hub, handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        server.hub = hub
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] it is always this one

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `asked` keeps what came."""

    def note(self, where: Where) -> Fault:
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.hub.asked.append(Asked(where, self.path, self.headers.get("range", ""), token))
        return self.hub.fault(where)

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str, code: str = "") -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if code:
            headers["X-Error-Code"] = code
        self.reply(status, json.dumps({"error": message}).encode(), headers)

    def send_file(self, path: Path, fault: Fault, headers: dict[str, str]) -> None:
        """Send the range that was asked for, as the fault will have it."""
        size = fault.size if fault.size >= 0 else path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if self.headers.get("if-range", headers.get("ETag")) != headers.get("ETag"):
            asked = None
        start = int(asked[1]) if asked and not fault.whole else 0
        if start >= size > 0:
            self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        more = {"Accept-Ranges": "bytes", **headers}
        if asked and not fault.whole:
            more["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if fault.packed:
            more["Content-Encoding"] = "gzip"
        self.send_response(206 if "Content-Range" in more else 200)
        if fault.chunked:
            self.close_connection = True
            more["Connection"] = "close"
        else:
            more["Content-Length"] = str(size - start)
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        self._send_body(path, fault, start, size)

    def _send_body(self, path: Path, fault: Fault, start: int, size: int) -> None:
        left = size - start if fault.after < 0 else min(fault.after, size - start)
        with path.open("rb") as file:
            if fault.wrong and left:
                self.connection.sendall(bytes([file.read(1)[0] ^ 1]))
                start, left = start + 1, left - 1
            file.seek(start)
            while left and not self.hub.ended.wait(fault.pace):
                count = min(left, PIECE if fault.pace else left)
                self.connection.sendfile(file, file.tell(), count)
                left -= count
        if fault.after < 0:
            return
        self.close_connection = True
        if fault.then == "stall":
            self.hub.ended.wait()


class _HubHandler(_Handler):
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        is_api = path.startswith("/api/models/")
        fault = self.note("api" if is_api else "resolve")
        if fault.after == 0:
            self.hub.ended.wait()
        if fault.status:
            self.reply(fault.status, fault.body, fault.headers)
            return
        patterns = {
            r"/api/models/(?P<id>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)": self._info,
            r"/api/models/(?P<id>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)": self._tree,
            r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)": self._resolve,
            r"/api/resolve-cache/models/(?P<id>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<name>.+)": (
                self._cached
            ),
        }
        for pattern, answer in patterns.items():
            found = re.fullmatch(pattern, path)
            if found:
                names = {key: unquote(value) for key, value in found.groupdict().items()}
                repo = self._repo(names["id"], names["revision"])
                if repo is not None:
                    answer(fault, repo, **names)
                return
        self.refuse(404, "Sorry, we can't find the page you are looking for.")

    def _repo(self, name: str, revision: str) -> Repo | None:
        """Return what may be read; otherwise say why not, as the real one does."""
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            self.refuse(401, "Invalid credentials in Authorization header")
            return None
        repo = self.hub.repos.get(name)
        if repo is None or (repo.token and token != repo.token):
            if token:
                self.refuse(404, "Repository not found", "RepoNotFound")
            else:
                self.refuse(401, "Invalid username or password.")
            return None
        if revision not in (repo.commit, *repo.revisions):
            self.refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return None
        return repo

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        self.reply(200, json.dumps(value).encode(), {**kind, **(headers or {})})

    def _info(self, fault: Fault, repo: Repo, **names: str) -> None:
        self._json(
            {
                "_id": "6891ca4f0000000000000000",
                "id": names["id"],
                "modelId": names["id"],
                "sha": repo.commit,
                "lastModified": "2025-08-05T17:00:00.000Z",
                "private": bool(repo.token),
                "gated": "auto" if repo.gated else False,
                "disabled": False,
                "downloads": 1,
                "likes": 1,
                "tags": ["gguf"],
                "siblings": [{"rfilename": name} for name in repo.files()],
            }
        )

    def _tree(self, fault: Fault, repo: Repo, **names: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        assert query["recursive"] == ["true"]
        at = int(query.get("cursor", ["0"])[0])
        folders = {str(Path(name).parent) for name in repo.files()} - {"."}
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": f} for f in folders]
        entries += [_entry(name, path) for name, path in repo.files().items()]
        more: dict[str, str] = {}
        if at + self.hub.page < len(entries):
            path = urlsplit(self.path).path
            link = f"{self.hub.endpoint}{path}?recursive=true&cursor={at + self.hub.page}"
            more["Link"] = f'<{link}>; rel="next"'
        self._json(entries[at : at + self.hub.page], more)

    def _resolve(self, fault: Fault, repo: Repo, **names: str) -> None:
        path, token = repo.files().get(names["name"]), self.headers.get("authorization")
        if repo.gated:
            what = f"Access to model {names['id']} is restricted"
            self.refuse(403 if token else 401, what, "GatedRepo")
        elif path is None:
            self.refuse(404, "Entry not found", "EntryNotFound")
        elif path.stat().st_size < LFS:
            where = f"/api/resolve-cache/models/{names['id']}/{repo.commit}/{quote(names['name'])}"
            self.reply(307, b"", {"Location": where, "X-Repo-Commit": repo.commit})
        else:
            place = f"{self.hub.store}/{names['id']}/{quote(names['name'])}"
            linked = {
                "Location": f"{place}?Expires=1781098782&Signature=secret-of-this-address",
                "X-Repo-Commit": repo.commit,
                "X-Linked-Size": str(path.stat().st_size),
                "X-Linked-Etag": f'"{digest(path)}"',
            }
            self.reply(302, b"Found. Redirecting", linked)

    def _cached(self, fault: Fault, repo: Repo, **names: str) -> None:
        path = repo.files()[names["name"]]
        self.send_file(path, fault, {"ETag": f'"{_blob_id(path)}"', "X-Repo-Commit": repo.commit})


class _StoreHandler(_Handler):
    def do_GET(self) -> None:
        fault = self.note("store")
        at = urlsplit(self.path)
        if fault.status or "Signature=secret-of-this-address" not in at.query:
            self.reply(fault.status or 403, fault.body, fault.headers)
            return
        owner, name, path = unquote(at.path).lstrip("/").split("/", 2)
        file = self.hub.repos[f"{owner}/{name}"].files()[path]
        self.send_file(file, fault, {"ETag": f'"{digest(file)}"'})


def _entry(name: str, path: Path) -> dict[str, object]:
    size = path.stat().st_size
    entry: dict[str, object] = {"type": "file", "oid": _blob_id(path), "size": size, "path": name}
    if size >= LFS:
        entry["lfs"] = {"oid": digest(path), "size": size, "pointerSize": 134}
        entry["xetHash"] = digest(path)[::-1]
    return entry


def _blob_id(path: Path) -> str:
    """Return what git calls a file, or what points at one of the store."""
    size = path.stat().st_size
    data = path.read_bytes() if size < LFS else f"oid sha256:{digest(path)}".encode()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
