# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Requests, answers, routes and faults of the loopback Hub, over HTTP."""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .repositories import User


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match the pattern."""

    pattern: re.Pattern
    status: int | None
    drop: str | None
    times: int | None


class Refusal(Exception):
    """An answer that is an error, with the headers by which the client distinguishes errors."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass
class Request:
    """A request as a route sees it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User | None

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    status: int = 200
    json: object = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(self.json).encode() if self.content is None else self.content


ROUTES: list[tuple[str, re.Pattern, Callable]] = []


def route(method: str, pattern: str):
    """Register a method of [`LoopbackHub`]. `{repo}` stands for a repository's path, `{revision}` for one segment."""
    pattern = pattern.replace("{repo}", r"(?P<repo_id>[\w.-]+/[\w.-]+)")
    pattern = pattern.replace("{types}", r"(?P<repo_type>model|dataset|space)s")
    pattern = pattern.replace("{prefix}", r"(?P<prefix>datasets/|spaces/|)")
    pattern = pattern.replace("{revision}", r"(?P<revision>[^/]+)")

    def register(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], hub):
        self.hub = hub
        super().__init__(address, _Handler)

    def handle_error(self, request, client_address):
        """Do not report a client that goes away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _handle(self):
        hub = self.server.hub
        line = f"{self.command} {self.path}"
        hub.requests.append(line)
        fault = hub.next_fault(line)
        if fault is not None and fault.drop == "request":
            return self._hang_up()
        body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        if fault is not None and fault.status is not None:
            message = {"X-Error-Message": "This is a fault that a test has asked for"}
            answer = Answer(fault.status, {"error": message["X-Error-Message"]}, headers=message)
        else:
            answer = hub.answer(self.command, self.path, headers, body)
        if fault is not None and fault.drop == "lost":
            return self._hang_up()
        content = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in {"Content-Type": "application/json; charset=utf-8", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.drop == "reply":
            self.wfile.write(content[: len(content) // 2])
            return self._hang_up()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """Print nothing; the requests are kept in `hub.requests`."""
