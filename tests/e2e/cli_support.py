"""A served process and the means to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import actinium

SOURCE = str(Path(actinium.__file__).parents[1])


def environment(home: Path, **more: str) -> dict[str, str]:
    """A user of their own, without the keys of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "ACTINIUM_"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home), "PYTHONPATH": SOURCE, **more}


class Server:
    """``actinium serve`` in a process of its own, ready to be asked."""

    def __init__(self, home: Path, *arguments: str, **env: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by end()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actinium", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(home, **env),
            cwd=home,
        )
        self.ready = self.line()
        if not self.ready.startswith("ready: "):
            self.process.kill()
            raise AssertionError(self.end())
        self.url = self.ready.split()[1]
        self.port = int(self.url.rpartition(":")[2])

    def line(self) -> str:
        """The next line of its output; empty at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def signal(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Waits for its end: exit code, what was left of stdout, all of stderr."""
        assert self.process.stdout is not None
        with self._errors, self.process.stdout:
            out = self.process.stdout.read()
            code = self.process.wait()
            self._errors.seek(0)
            return code, out, self._errors.read()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self._ask("GET", path, None, headers)

    def text(self, path: str) -> str:
        """The body of a page."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            found: bytes = answer.read()
        return found.decode()

    def chat(self, text: str, **more: Any) -> tuple[int, Any]:
        session = more.pop("session", None)
        headers = {"x-session-id": session} if session else {}
        body = {"model": "embedded", "messages": [{"role": "user", "content": text}], **more}
        return self._ask("POST", "/v1/chat/completions", json.dumps(body), headers)

    def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@contextmanager
def serving(home: Path, *arguments: str, **env: str) -> Iterator[Server]:
    """A server that is gone when the block ends, however it ends."""
    server = Server(home, *arguments, **env)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.process.kill()
            server.end()
