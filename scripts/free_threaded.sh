#!/usr/bin/env bash
# Runs the tests of the core on a free-threaded CPython, with the GIL off.
# Usage: PYTHON=python3.14t scripts/free_threaded.sh [arguments of pytest]
#
# Any interpreter configured with --disable-gil will do, from python.org or from Debian's source:
#   apt-get source --download-only python3.14    (needs deb-src lines)
#   ./configure --disable-gil && make && make altinstall
# msgspec needs 3.14 or newer there.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3.14t}"
if ! "$python" -c 'import sysconfig; raise SystemExit(not sysconfig.get_config_var("Py_GIL_DISABLED"))'; then
  echo "free_threaded: expected a free-threaded interpreter in PYTHON, got '$python'" >&2
  exit 2
fi
venv=build/free-threaded
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q . pytest pytest-timeout hypothesis
"$venv/bin/python" -c '
import sys, actinium.core
assert not sys._is_gil_enabled(), "an imported module has switched the GIL on"'
# From elsewhere than the source tree, where an interpreter would find the uncompiled package.
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider --import-mode=importlib \
  -m "not slow" tests/unit/core "$@"
