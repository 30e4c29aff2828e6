"""An S3 server of the tests: moto's, in a process of its own, and a proxy before it that spoils what it is told to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import fsspec

BUCKET = "night"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTESTS", "AWS_SECRET_ACCESS_KEY": "not-to-be-shown", "AWS_DEFAULT_REGION": "us-east-1"}
"""Credentials that moto does not look at."""
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
FAILED = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
EMPTY = (
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>night</Name><KeyCount>0</KeyCount>'
    b"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


@contextmanager
def moto() -> Iterator[str]:
    """Give the address of an S3 server with nothing in it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def request(address: str, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Return status and body of an answer of the server."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(
            method, path, body, {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/s3/aws4"}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@dataclass
class Fault:
    """What the proxy does to some requests."""

    kind: str
    """``500``, ``503``, ``expired``, ``truncate`` (half of the body, then nothing), ``lost`` (done, and no answer), ``slow``,
    ``hide`` (a listing shows nothing), ``stale`` (a listing shows what it showed first)."""
    method: str = ""
    """Method of the requests, or any."""
    part: str = ""
    """Text in their path, or any."""
    times: int = 10**9
    """How many of them."""
    after: int = 0
    """How many of them go well before."""
    met: int = 0
    """How many were spoiled."""

    def meets(self, method: str, path: str) -> bool:
        """Return whether a request is to be spoiled, and count it."""
        if (self.method and method != self.method) or self.part not in path or self.met >= self.times:
            return False
        if self.kind in ("hide", "stale") and "list-type" not in path:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.met += 1
        return True


@dataclass
class Proxy:
    """A way to the server that spoils requests. ``log`` has all of them."""

    address: str
    server: str
    faults: list[Fault] = field(default_factory=list)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path, and bytes of the body or of the range that was asked for."""
    listed: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def spoiling(self, kind: str, **where: object) -> Iterator[Fault]:
        """Spoil requests meanwhile."""
        fault = Fault(kind, **where)  # type: ignore[arg-type]
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    def fault_of(self, method: str, path: str) -> str:
        """Return the kind of the first fault that meets a request, or an empty text."""
        with self.lock:
            return next((fault.kind for fault in list(self.faults) if fault.meets(method, path)), "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # who asked is gone
            super().handle_one_request()

    def answer(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            self.close_connection = False
        length = int(self.headers.get("Content-Length") or 0)
        fault = self.proxy.fault_of(self.command, self.path)
        with self.proxy.lock:
            begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            self.proxy.log.append((self.command, self.path, int(end) - int(begin) + 1 if begin and end else length))
        if fault == "truncate":
            self.rfile.read(length // 2)
            self._drop()
            return
        body = self.rfile.read(length)
        spoiled = {"500": (500, FAILED), "503": (503, BUSY), "expired": (403, EXPIRED), "hide": (200, EMPTY)}.get(fault)
        if spoiled is not None:
            self._send(spoiled[0], [("Content-Type", "application/xml")], spoiled[1])
            return
        if fault == "slow":
            time.sleep(0.5)
        status, headers, content = self._forward(body)
        if fault == "lost":
            self._drop()
            return
        if "list-type" in self.path:
            first = self.proxy.listed.setdefault(_question(self.path), (status, headers, content))
            status, headers, content = first if fault == "stale" else (status, headers, content)
            if fault != "stale":
                self.proxy.listed[_question(self.path)] = (status, headers, content)
        self._send(status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - names of http.server

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(urlsplit(self.proxy.server).netloc, timeout=60)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")
            }
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()


def _question(path: str) -> str:
    """Return what a listing asks for."""
    query = parse_qs(urlsplit(path).query)
    return str([query.get(name) for name in ("prefix", "delimiter", "continuation-token", "max-keys")])


@contextmanager
def proxy_of(server: str) -> Iterator[Proxy]:
    """Give a proxy before a server."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        Handler.proxy = Proxy(f"http://127.0.0.1:{listening.server_port}", server)
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Handler.proxy
        finally:
            listening.shutdown()
            thread.join()


def forget() -> None:
    """Close the connections of this process to S3: fsspec keeps its file systems, each with the address it began with."""
    kind = fsspec.get_filesystem_class("s3")
    for instance in list(kind._cache.values()):
        if instance._s3 is not None:
            instance.close_session(instance.loop, instance._s3)
    kind.clear_instance_cache()
    if "mlflow.store.artifact.s3_artifact_repo" in sys.modules:
        sys.modules["mlflow.store.artifact.s3_artifact_repo"]._cached_get_s3_client.cache_clear()
