"""Compiled code on disk: found again by everything that went into it.

The key is BLAKE2b-256 of the text (which holds every captured constant), the flags, the target
and the compiler's version. A file is written beside its place and renamed, so that a reader sees
all of it or none. It starts with the digest of what follows; one that does not match it was
damaged, and counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_MAGIC = b"ACC1"


def default_folder() -> Path:
    """``$ACTINIUM_CACHE``, else ``~/.cache/actinium`` (or below ``$XDG_CACHE_HOME``)."""
    named = os.environ.get("ACTINIUM_CACHE")
    if named:
        return Path(named) / "gpu"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "actinium" / "gpu"


class Cache:
    """A folder of compiled code. ``hits`` and ``misses`` count what :meth:`get` found."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self.hits = 0
        self.misses = 0

    @staticmethod
    def key(*parts: str) -> str:
        digest = hashlib.blake2b(digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part.encode())
        return digest.hexdigest()

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of a key, made and kept if they are absent or damaged."""
        path = self.folder / key
        found = self._read(path)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        made = make()
        self._write(path, made)
        return made

    def _read(self, path: Path) -> bytes | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + 32 :]
        right = _MAGIC + hashlib.blake2b(body, digest_size=32).digest()
        return body if data[: len(right)] == right else None

    def _write(self, path: Path, body: bytes) -> None:
        """A cache that cannot be written is none; the program goes on."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + hashlib.blake2b(body, digest_size=32).digest() + body)
                os.replace(name, path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
