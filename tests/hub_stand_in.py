"""A small real HTTP server with the part of the Hugging Face hub's API that a download uses.

As on the hub, files in LFS answer with a redirect to another address and carry their SHA-256 in the listing.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubFile:
    """A file of a repository; `listed_sha256` is what the listing claims, None for a file outside LFS."""

    content: bytes
    listed_sha256: str | None = None


def lfs_file(content: bytes) -> HubFile:
    return HubFile(content, hashlib.sha256(content).hexdigest())


@dataclass
class HubStandIn:
    """The server's content and what it was asked."""

    repos: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    failing_status: int | None = None
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve_hub(hub: HubStandIn) -> Iterator[HubStandIn]:
    """Serve `hub` on a free port of 127.0.0.1; `hub.url` is its address."""

    class Handler(_Handler):
        stand_in = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    stand_in: HubStandIn

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet: the tests read `requests`."""

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.stand_in.requests.append(f"{self.command} {path}")
        if self.stand_in.failing_status is not None:
            self._answer(self.stand_in.failing_status)
            return
        match path.split("/"):
            case ["api", "models", org, name]:
                self._info(f"{org}/{name}")
            case ["api", "models", org, name, "revision", _]:
                self._info(f"{org}/{name}")
            case ["api", "models", org, name, "tree", _, *folder]:
                self._tree(f"{org}/{name}", "/".join(folder))
            case [org, name, "resolve", _, *file]:
                self._file(f"{org}/{name}", "/".join(file))
            case ["cdn", org, name, *file]:
                self._answer(200, self.stand_in.repos[f"{org}/{name}"]["/".join(file)].content)
            case _:
                self._answer(404)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _info(self, repo: str) -> None:
        if repo in self.stand_in.gated:
            self._answer(403, X_Error_Code="GatedRepo")
        elif repo not in self.stand_in.repos:
            self._answer(404, X_Error_Code="RepoNotFound")
        else:
            self._answer(200, json.dumps({"id": repo, "sha": COMMIT, "private": False}).encode())

    def _tree(self, repo: str, folder: str) -> None:
        files = self.stand_in.repos[repo]
        inside = {path: file for path, file in files.items() if not folder or path.startswith(f"{folder}/")}
        if not inside:
            self._answer(404, X_Error_Code="EntryNotFound")
            return
        self._answer(200, json.dumps([_entry(path, file) for path, file in inside.items()]).encode())

    def _file(self, repo: str, path: str) -> None:
        file = self.stand_in.repos[repo].get(path)
        if file is None:
            self._answer(404, X_Error_Code="EntryNotFound")
        elif file.listed_sha256 is None:
            self._answer(200, file.content, ETag=f'"{_git_id(file.content)}"', X_Repo_Commit=COMMIT)
        else:
            self._answer(
                302,
                # Another host name, as the hub's file servers have.
                Location=f"{self.stand_in.url.replace('127.0.0.1', 'localhost')}/cdn/{repo}/{path}",
                X_Repo_Commit=COMMIT,
                X_Linked_Size=str(len(file.content)),
                X_Linked_ETag=f'"{file.listed_sha256}"',
            )


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, file: HubFile) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(file.content), "oid": _git_id(file.content)}
    if file.listed_sha256 is not None:
        entry["lfs"] = {"oid": file.listed_sha256, "size": len(file.content), "pointerSize": 130}
    return entry
