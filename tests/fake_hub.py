"""A small server that speaks the Hugging Face Hub's protocol on 127.0.0.1, for tests with the real client.

It knows what the client asks for: model info with file metadata, `resolve` with ETag, commit, ranges and large-file
headers, and the calls of an upload. Each repository can misbehave in its own way (`Repo`), the whole server can be out
of order (`status`). Every request about a repository is kept in `requests`.
"""

import base64
import hashlib
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session, constants

LARGE = (".safetensors", ".bin", ".pt")  # kept in large-file storage, as the Hub's default .gitattributes says

HOUSEKEEPING = "/api/agent-harnesses"  # asked once a process by the client for its own statistics


@dataclass
class Repo:
    """A repository and how it misbehaves.

    Args:
        commits: commit hash -> {file name: content}.
        branches: branch or tag -> commit hash.
        token: needed to see it; None for everyone.
        gated: seen by everyone, but files only with consent.
        claims: file name -> (size, SHA-256) that the record says instead of the truth.
        damage: files that are sent with one byte changed.
        drop_after: close the connection after so many bytes of a large file, once.
        hold: wait in the middle of a large file until this is set.
    """

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    token: str | None = None
    gated: bool = False
    claims: dict[str, tuple[int, str]] = field(default_factory=dict)
    damage: set[str] = field(default_factory=set)
    drop_after: int | None = None
    hold: threading.Event | None = None


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    authorization: str | None
    status: int


class FakeHub:
    """Use as a context manager; `url` is what HF_ENDPOINT must be."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.status: int | None = None
        self.connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, *revisions: dict[str, bytes], **behaviour: Any) -> Repo:
        """Publish `revisions` one after the other: tags v1, v2, …, and `main` at the last."""
        commits = {commit_hash(files): files for files in revisions}
        branches = {f"v{i + 1}": commit for i, commit in enumerate(commits)}
        repo = Repo(commits, {**branches, "main": list(commits)[-1]}, **behaviour)
        self.repos[name] = repo
        return repo

    def fetched(self) -> list[str]:
        """Names of the files whose content was sent, in order."""
        return [r.path.rsplit("/", 1)[1] for r in self.requests if r.method == "GET" and "/resolve/" in r.path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        for connection in list(self.connections):  # the client keeps connections open; a dead server does not
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def client_on(folder: Path) -> Iterator[FakeHub]:
    """A fake Hub with the real client of this process pointed at it, its cache in `folder`.

    The client reads its environment at import, so its constants are set here.
    """
    with FakeHub() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
        patch.setattr(constants, "AGENT_HARNESSES_PATH", str(folder / "harnesses.json"))
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(variable, raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        close_session()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        yield server
        close_session()


def commit_hash(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            hub.connections.add(self.connection)

        def finish(self) -> None:
            hub.connections.discard(self.connection)
            super().finish()

        def log_message(self, format: str, *args: object) -> None: ...

        def do_HEAD(self) -> None:
            self._get()

        def do_GET(self) -> None:
            self._get()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urlsplit(self.path).path
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization') or 'me'}/{asked['name'].rsplit('/', 1)[-1]}"
                hub.add(name, {})
                self._json({"url": f"{hub.url}/{name}"})
            elif path == "/api/validate-yaml":
                self._json({"errors": [], "warnings": []})
            elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/[^/]+", path):
                names = [file["path"] for file in json.loads(body)["files"]]
                self._json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
            elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/[^/]+", path):
                self._commit(match[1], body)
            else:
                self._error(404)

        def _commit(self, name: str, body: bytes) -> None:
            lines = [json.loads(line) for line in body.splitlines() if line]
            files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
            commit = commit_hash(files)
            repo = hub.repos[name]
            repo.commits[commit] = files
            repo.branches["main"] = commit
            self._json({"commitUrl": f"{hub.url}/{name}/commit/{commit}", "commitOid": commit})

        def _get(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.status is not None:
                return self._error(hub.status, extra={"Retry-After": "7"} if hub.status == 429 else {})
            if path == HOUSEKEEPING:
                return self._json({"standardEnvVars": [], "harnesses": {}})
            if path == "/api/whoami-v2":
                return self._json({"type": "user", "name": "me", "fullname": "Me", "orgs": [], "auth": {}})
            info = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            match = info or file
            if match is None:
                return self._error(404)
            repo = hub.repos.get(match[1])
            authorized = repo is not None and repo.token in (None, (self.headers.get("Authorization") or "")[7:])
            if repo is None or not authorized:
                anonymous = self.headers.get("Authorization") is None
                return self._error(401 if anonymous else 404, "RepoNotFound")
            if repo.gated and file:
                return self._error(403 if self.headers.get("Authorization") else 401, "GatedRepo")
            revision = match[2] or "main"
            commit = repo.branches.get(revision, revision)
            if commit not in repo.commits:
                return self._error(404, "RevisionNotFound")
            return self._info(match[1], repo, commit) if info else self._file(repo, commit, match[3])

        def _info(self, name: str, repo: Repo, commit: str) -> None:
            siblings = []
            for file, content in repo.commits[commit].items():
                size, sha256 = repo.claims.get(file, (len(content), hashlib.sha256(content).hexdigest()))
                entry: dict[str, Any] = {"rfilename": file, "size": size, "blobId": hashlib.sha1(content).hexdigest()}
                if file.endswith(LARGE):
                    entry["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 134}
                siblings.append(entry)
            self._json({"id": name, "sha": commit, "siblings": siblings, "tags": [], "private": False})

        def _file(self, repo: Repo, commit: str, file: str) -> None:
            content = repo.commits[commit].get(file)
            if content is None:
                return self._error(404, "EntryNotFound", extra={"X-Repo-Commit": commit})
            large = file.endswith(LARGE)
            size, sha256 = repo.claims.get(file, (len(content), hashlib.sha256(content).hexdigest()))
            if file in repo.damage:
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") :].rstrip("-"))
            headers = {
                "X-Repo-Commit": commit,
                "ETag": f'"{sha256 if large else hashlib.sha1(content).hexdigest()}"',
                "Content-Length": str(size - start),
                "Accept-Ranges": "bytes",
            }
            if large:
                headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(size)}
            if start:
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            self._start(206 if start else 200, headers)
            if self.command == "HEAD":
                return None
            if large and repo.drop_after is not None:
                self.wfile.write(content[: repo.drop_after])
                repo.drop_after = None
                self.close_connection = True
                return None
            if large and repo.hold is not None:
                half = (start + len(content)) // 2
                self.wfile.write(content[start:half])
                repo.hold.wait(60)
                start = half
            self.wfile.write(content[start:])
            return None

        def _json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self._start(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body)

        def _error(self, status: int, code: str | None = None, extra: dict[str, str] | None = None) -> None:
            self._start(status, {"Content-Length": "0", **({"X-Error-Code": code} if code else {}), **(extra or {})})

        def _start(self, status: int, headers: dict[str, str]) -> None:
            asked = (self.headers.get("Range"), self.headers.get("Authorization"))
            path = urlsplit(self.path).path
            if path != HOUSEKEEPING:
                hub.requests.append(Request(self.command, path, *asked, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler
