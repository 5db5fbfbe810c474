"""A server on this machine that misbehaves as servers and networks do."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CUT = 100_000  # bytes after which the server cuts, in the tests that say nothing else


@dataclass
class FileServer:
    """One file at ``url``, and how each request for it goes wrong."""

    body: bytes
    etag: str | None = '"v1"'
    ranges: bool = True
    length: bool = True  # whether Content-Length is sent
    status: list[int] = field(default_factory=list)  # of the next answers; then 200 or 206
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers end
    content_range: str | None = None  # in place of the true one
    kind: str | None = None  # Content-Type
    reason: str | None = None  # beside the status
    location: str | None = None
    stall: threading.Event | None = None  # to wait for where an answer is cut, before going on
    requests: list[dict[str, str]] = field(default_factory=list)  # their headers
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/lab.safetensors"

    @property
    def asked_from(self) -> list[int]:
        """First byte that each request asked for."""
        found = (re.search(r"\d+", headers.get("Range", "0")) for headers in self.requests)
        return [int(match[0]) for match in found if match]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(dict(handler.headers))
        if self.location is not None:
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.end_headers()
            return
        start = self.asked_from[-1]
        unchanged = handler.headers.get("If-Range", self.etag) == self.etag
        partial = self.ranges and unchanged and "Range" in handler.headers
        status = self.status.pop(0) if self.status else (206 if partial else 200)
        if status not in (200, 206):
            handler.send_error(status, self.reason)
            return
        part = self.body[start:] if status == 206 else self.body
        handler.send_response(status)
        if status == 206:
            end = len(self.body)
            given = self.content_range or f"bytes {start}-{end - 1}/{end}"
            handler.send_header("Content-Range", given)
        if self.length:
            handler.send_header("Content-Length", str(len(part)))
        if self.kind is not None:
            handler.send_header("Content-Type", self.kind)
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        end = self.cuts.pop(0) if self.cuts else len(part)
        handler.wfile.write(part[:end])
        if self.stall is not None and end < len(part):
            handler.wfile.flush()
            self.stall.wait()
            handler.wfile.write(part[end:])


@contextmanager
def serving() -> Iterator[Callable[..., FileServer]]:
    """Starts servers; all have ended when the block has."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread, FileServer]] = []

    def start(body: bytes, **manners: Any) -> FileServer:
        file = FileServer(body, **manners)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(ConnectionError):  # the client may have had enough
                    file.answer(self)

            def log_message(self, *arguments: object) -> None:
                """Nothing on stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        file.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread, file))
        return file

    try:
        yield start
    finally:
        for server, thread, file in running:
            if file.stall is not None:
                file.stall.set()
            server.shutdown()
            thread.join()
            server.server_close()


def register(url: str, content: bytes, **changes: object) -> None:
    """Make ``lab`` known as the model with this content."""
    values = {
        "description": "A model of our lab.",
        "url": url,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "licence": "CC0-1.0",
        "trained_on": "our own pictures",
        "architecture": "lite",
        **changes,
    }
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    Path(os.environ["NAPARI_SAFIRE_MODELS"]).write_text("\n".join(["[models.lab]", *lines]))
