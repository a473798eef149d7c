"""Where this user's files lie (XDG Base Directory Specification)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actinium.errors import StoreError
from actinium.store import MemoryStore, SqliteStore, Store

from .failures import FAILED, CommandFailed

NO_STORE: Final = "none"
IN_MEMORY: Final = "memory"


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``$XDG_STATE_HOME/actinium``; the variable counts only if it is an absolute path."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "actinium"


def store_path(choice: str | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file of a store setting: a path, "memory", "none", or None for the usual place."""
    if choice in (NO_STORE, IN_MEMORY):
        return None
    return state_folder(environ) / "sessions.db" if choice is None else Path(choice).expanduser()


async def open_store(choice: str | None) -> Store | None:
    """Opens the store that a setting names. Raises CommandFailed with what to write instead."""
    if choice == NO_STORE:
        return None
    path = store_path(choice)
    if path is None:
        return MemoryStore()
    try:
        make_private_folder(path.parent)
        return await SqliteStore.open(path)
    except (StoreError, OSError) as error:
        raise CommandFailed(
            f"the session store cannot be opened: {error}",
            "name another file with --store PATH, or keep no sessions with --no-store",
            FAILED,
        ) from error


def make_private_folder(folder: Path) -> None:
    """Makes a folder that only this user can read; one that exists stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def short(path: Path) -> str:
    """A path as people write it, with ``~``."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
