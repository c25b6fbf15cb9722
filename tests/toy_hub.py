"""A model hub on this machine: what the hub's client asks of it, from a folder of repositories."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ToyHub:
    """The files of a folder `OWNER/NAME/FILE`, every repository with one commit; those above 1 kB as of git-lfs.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str, str | None]] = []
        """Method, path and range of each request."""
        self.cut_after: int | None = None
        """Bytes of a file after which the connection ends; None: it does not."""
        self.changed: set[str] = set()
        """Names of files that come with another first byte."""
        self.endpoint = ""

    def names(self, repository: str) -> list[str]:
        """The files of a repository."""
        folder = self.root / repository
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def described(self, repository: str, name: str) -> dict[str, Any]:
        """Size and digests of a file."""
        content = (self.root / repository / name).read_bytes()
        entry: dict[str, Any] = {"size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if len(content) > 1000:
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def downloads(self) -> list[str]:
        """Names of the files of which a part was sent, in order."""
        return [
            path.rpartition("/")[2]
            for method, path, _ in self.asked
            if method == "GET" and "/resolve/" in path
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ToyHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        """Answer without content."""
        self._answer()

    def do_GET(self) -> None:
        """Answer with content."""
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if path.startswith("/api/models/"):
            self._answer_api(path.removeprefix("/api/models/"))
        else:
            self._answer_file(path.lstrip("/"))

    def _answer_api(self, path: str) -> None:
        owner, name, kind, *_ = path.split("/")
        repository = f"{owner}/{name}"
        if not (self.hub.root / repository).is_dir():
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound", "Content-Type": "application/json"})
            return
        entries = {each: self.hub.described(repository, each) for each in self.hub.names(repository)}
        answer: Any
        if kind == "tree":
            answer = [{"type": "file", "path": each, **entry} for each, entry in entries.items()]
        else:
            siblings = [
                {"rfilename": each, **entry, "blobId": entry["oid"]} for each, entry in entries.items()
            ]
            answer = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _answer_file(self, path: str) -> None:
        owner, name, _, _, *inside = path.split("/")
        repository, file = f"{owner}/{name}", "/".join(inside)
        if not (self.hub.root / repository / file).is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = (self.hub.root / repository / file).read_bytes()
        entry = self.hub.described(repository, file)
        if file in self.hub.changed:
            content = bytes([content[0] ^ 1]) + content[1:]
        etag = f'"{entry.get("lfs", entry)["oid"]}"'
        headers = {"X-Repo-Commit": COMMIT, "ETag": etag, "Accept-Ranges": "bytes"}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(content))}
        wanted = self.headers.get("Range")
        begin = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._send(206 if wanted else 200, content[begin:], headers)

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after
        if cut is not None and len(content) > cut and "/resolve/" in self.path:
            self.wfile.write(content[:cut])
            self.close_connection = True
            return
        self.wfile.write(content)


@contextmanager
def serving(root: Path) -> Iterator[ToyHub]:
    """A hub that serves a folder until the context ends."""
    hub = ToyHub(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
