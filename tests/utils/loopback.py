"""A file server on the loopback interface that misbehaves as told.

`Served` describes one path: its bytes and the faults of its first requests, in order. Every request is
recorded, so that a test can say not only what arrived but how it was asked for.
"""

import contextlib
import http.server
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Served:
    """What the server answers under one path."""

    body: bytes = b""
    content_type: str = "application/octet-stream"
    etag: str | None = '"version-1"'
    faults: list[str] = field(default_factory=list)
    """One of: `truncate` (half of what was asked for), `stall` (a few bytes, then silence), `status:NNN`."""
    redirect: str | None = None
    ranges: bool = True
    """Whether ranges are honoured."""
    conditions: bool = True
    """Whether If-Range is."""


@dataclass
class Server:
    """A running server."""

    address: str
    paths: dict[str, Served]
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """(path with query, Range header) of every request."""


@contextlib.contextmanager
def serve(paths: dict[str, Served], stall_seconds: float = 1.0) -> Iterator[Server]:
    """Serves `paths` on 127.0.0.1 until the block ends."""

    class Handler(_Handler):
        stall = stall_seconds

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http_server.server_address[1]}", paths)
    Handler.server_state = server
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join(timeout=5)


class _Handler(http.server.BaseHTTPRequestHandler):
    server_state: Server
    stall: float
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        asked_range = self.headers.get("Range")
        self.server_state.requests.append((self.path, asked_range))
        plain = self.path.partition("?")[0]
        served = next(
            (
                self.server_state.paths[path]
                for path in (self.path, plain, urllib.parse.unquote(plain))
                if path in self.server_state.paths
            ),
            None,
        )
        if served is None:
            self.send_error(404)
            return
        fault = served.faults.pop(0) if served.faults else ""
        if fault.startswith("status:"):
            self.send_error(int(fault.partition(":")[2]))
        elif served.redirect:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_body(served, asked_range, fault)

    def _send_body(self, served: Served, asked_range: str | None, fault: str) -> None:
        first = self._first_byte(served, asked_range)
        body = served.body[first:]
        if asked_range and first == len(served.body) and first:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(served.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Type", served.content_type)
        self.send_header("Content-Length", str(len(body)))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(served.body) - 1}/{len(served.body)}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.end_headers()
        if fault == "truncate":
            self.wfile.write(body[: len(body) // 2])
        elif fault == "stall":
            self.wfile.write(body[:3])
            self.wfile.flush()
            time.sleep(self.stall)
        else:
            self.wfile.write(body)

    def _first_byte(self, served: Served, asked_range: str | None) -> int:
        """Where the answer begins: 0 without a range, or when `If-Range` names another version."""
        condition = self.headers.get("If-Range")
        if not (served.ranges and asked_range) or (
            served.conditions and condition and condition != served.etag
        ):
            return 0
        return int(asked_range.removeprefix("bytes=").rstrip("-"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the base
        """Silence: requests are recorded, not printed."""
