"""What a process that only serves does once, when everything is loaded."""

from __future__ import annotations

import gc
import resource
from contextlib import suppress
from typing import Final

_YOUNG: Final = 20_000
"""New containers between two looks at the young ones; the default of 700 comes several times
in one busy turn of the loop and finds nothing, since a request's objects die by themselves."""


def settle() -> None:
    """Tunes the process for serving: call it after the models are loaded.

    What exists now lives as long as the process: it is frozen out of every later collection
    (100 ms and more with a large heap). The effect is on the whole process, which is why no
    library call does it unasked.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    raise_file_limit()


def raise_file_limit() -> int:
    """Lets the process open as many files as the system allows it; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # a container may forbid it: then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return file_limit()


def file_limit() -> int:
    """How many files the process may have open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 2**31 - 1
