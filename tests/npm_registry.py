"""A small real npm registry on a free port of 127.0.0.1: enough of its API for the client's `npm pack`."""

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class NpmRegistry:
    """Archives by package name, each in one version, 1.0.0."""

    archives: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""


def pack_archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """An npm archive: gzipped tar with everything in a folder `package`, links by name and target as they are."""
    memory = io.BytesIO()
    contents = {"package.json": b'{"name": "small-voice", "version": "1.0.0"}', **files}
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(f"package/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return memory.getvalue()


@contextmanager
def serve_npm(registry: NpmRegistry) -> Iterator[NpmRegistry]:
    """Serve `registry`; `registry.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append(self.path)
            name = self.path.strip("/")
            if name.endswith(".tgz"):
                self._answer(200, registry.archives[name.removesuffix(".tgz")])
            elif name in registry.archives:
                self._answer(200, json.dumps(_describe(name, registry)).encode())
            else:
                self._answer(404, b'{"error": "not found"}')

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet: the tests read `requests`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()


def _describe(name: str, registry: NpmRegistry) -> dict[str, object]:
    digest = base64.b64encode(hashlib.sha512(registry.archives[name]).digest()).decode()
    dist = {"tarball": f"{registry.url}/{name}.tgz", "integrity": f"sha512-{digest}"}
    version = {"name": name, "version": "1.0.0", "dist": dist}
    return {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
