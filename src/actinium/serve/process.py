"""What a process that only serves does once, when everything is loaded."""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 20_000
"""New containers between two looks at the young ones; the default of 700 comes several times
in one busy turn of the loop and finds nothing, since a request's objects die by themselves."""


def settle() -> None:
    """Tunes the garbage collector for serving: call it after the models are loaded.

    What exists now lives as long as the process: it is frozen out of every later collection
    (100 ms and more with a large heap). The effect is on the whole process, which is why no
    library call does it unasked.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
