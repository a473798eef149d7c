"""A real redis-server for tests, on a Unix socket of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

INSTALLED: Final = shutil.which("redis-server") is not None
"""Whether there is one on this machine; on Debian: apt-get install redis-server."""


class RedisServer:
    """Keeps nothing on disk; ``url`` is its address. ``kill`` and ``start`` are a crash and what
    comes after, ``pause`` and ``resume`` a machine that hangs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "redis.sock"
        self.url = f"unix://{self._path}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it anew, empty; returns when it takes connections."""
        self._path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self._path), "--save", "",
             "--appendonly", "no", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL, cwd=self._path.parent,
        )  # fmt: skip
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as line:
                if line.connect_ex(str(self._path)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """It answers nothing, and does not close anything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
