"""An OpenAI-compatible endpoint on the loopback interface that says and does what a test tells it.

    with Endpoint() as endpoint:
        endpoint.script(Fault.busy(retry_after="1"), say("<think>a</think>b"))
        ... endpoint.url ...

Replies are taken from the script in order; when it is used up, `default` answers. Every request is kept
in `requests`. It is a real server: resets, hangs and cut bodies happen on the wire.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What to do with one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    """Reset the connection instead of answering."""
    hang: float = 0.0
    """Seconds to wait before answering."""
    cut: int = 0
    """Send only so many bytes of the body, then close."""


def completion(
    message: Json, *, finish_reason: str = "stop", usage: Json | None = None, **more: Any
) -> Answer:
    """A chat completion with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason, **more}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "double",
        "choices": [choice],
        "usage": usage or {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }
    return Answer(body=json.dumps(body).encode())


def say(text: str, **options: Any) -> Answer:
    """A completion with only content."""
    return completion({"content": text}, **options)


class Fault:
    """Answers that are none."""

    @staticmethod
    def status(status: int, message: str = "no", **headers: str) -> Answer:
        body = json.dumps({"error": {"message": message, "code": None}}).encode()
        return Answer(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    @staticmethod
    def busy(retry_after: str) -> Answer:
        return Fault.status(429, "slow down", Retry_After=retry_after)

    reset = Answer(reset=True)
    truncated = Answer(body=say("hello").body[:-20])
    cut = Answer(body=say("hello").body, cut=40)
    html = Answer(body=b"<html>gateway</html>")

    @staticmethod
    def hang(seconds: float) -> Answer:
        return Answer(body=say("late").body, hang=seconds)


class Endpoint:
    """A running server; `url` is its base_url."""

    def __init__(self, models: tuple[str, ...] = ("double",), key: str = "") -> None:
        self.models = models
        self.key = key
        """If set, other keys get a 401."""
        self.requests: list[Json] = []
        """JSON bodies of the completions asked for, in order of arrival."""
        self.headers: list[dict[str, str]] = []
        self.models_answer: Answer | None = None
        """What GET /models gets instead of the list."""
        self.default: Callable[[Json], Answer] = lambda _: say("4")
        self.most_at_once = 0
        self._at_once = 0
        self._script: list[Answer] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def script(self, *answers: Answer) -> None:
        """What the next completions get."""
        self._script.extend(answers)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: Json, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            if self.key and headers.get("authorization") != f"Bearer {self.key}":
                return Fault.status(401, f"wrong key {headers.get('authorization')}")
            return self._script.pop(0) if self._script else self.default(request)

    def _listed(self, path: str, headers: dict[str, str]) -> Answer:
        if self.models_answer is not None:
            return self.models_answer
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return Fault.status(401, f"wrong key {headers.get('authorization')}")
        if path.endswith("/models"):
            data = [{"id": model} for model in self.models]
            return Answer(body=json.dumps({"object": "list", "data": data}).encode())
        return Fault.status(404, "no such model")

    def _enter(self) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _leave(self) -> None:
        with self._lock:
            self._at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(endpoint._listed(self.path, self._heard()))

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint._enter()
                try:
                    self._answer(endpoint._next(request, self._heard()))
                finally:
                    endpoint._leave()

            def log_message(self, *_: Any) -> None:
                pass

            def _heard(self) -> dict[str, str]:
                return {name.lower(): value for name, value in self.headers.items()}

            def _answer(self, answer: Answer) -> None:
                until = time.monotonic() + answer.hang
                while time.monotonic() < until and not endpoint._closing.is_set():
                    time.sleep(0.01)
                if answer.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                try:
                    self.send_response(answer.status)
                    for name, value in {"content-type": "application/json", **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.cut] if answer.cut else answer.body)
                    if answer.cut:
                        self.close_connection = True
                except OSError:  # the client has left
                    self.close_connection = True

        return Handler
