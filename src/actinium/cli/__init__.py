"""The command ``actinium``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits. Without the extra ``cli`` it says how to install it."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.stderr.write('error: the command line needs an extra: pip install "actinium[cli]"\n')
        raise SystemExit(2) from error
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
