#!/usr/bin/env bash
# Runs the tests of actors and shards on a free-threaded CPython, with the GIL off.
# Usage: PYTHON=python3.14t scripts/free_threaded.sh [arguments of pytest]
#
# Without PYTHON it is python3.14t, or one that is built from source for this
# (scripts/free_threaded_python.sh). It has to be 3.14 or newer: msgspec needs that there.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3.14t
  if ! command -v "$PYTHON" >/dev/null; then
    scripts/free_threaded_python.sh build/python-free-threaded
    PYTHON=build/python-free-threaded/bin/python3.14t
  fi
fi
if ! "$PYTHON" -c 'import sysconfig; raise SystemExit(not sysconfig.get_config_var("Py_GIL_DISABLED"))'; then
  echo "free_threaded: expected a free-threaded interpreter in PYTHON, got '$PYTHON'" >&2
  exit 2
fi
venv=build/free-threaded
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
"$venv/bin/python" -m pip install -q . pytest pytest-timeout hypothesis
"$venv/bin/python" -c '
import sys, actinium.core
assert not sys._is_gil_enabled(), "an imported module has switched the GIL on"'
[ $# -gt 0 ] || set -- -m "not slow" tests/unit/core tests/unit/cluster/test_shards.py \
  tests/unit/cluster/test_shard_lives.py tests/unit/cluster/test_shard_moves.py \
  tests/laws/test_shard_laws.py tests/laws/test_shard_move_laws.py
# Outside of `src`, where an interpreter would find the uncompiled package.
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
