#!/usr/bin/env bash
# Tests with the clients that are too heavy for the usual environment (LangChain, LiteLLM) or need
# an older openai, in an environment of their own: build/clients.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

python="$(find_python)"
venv=build/clients
mkdir -p build
[ -x $venv/bin/python ] || "$python" -m venv $venv
$venv/bin/python -m pip install -q --disable-pip-version-check ".[clients]" >build/clients.log 2>&1 || {
  tail -n 40 build/clients.log >&2
  fail "installing .[clients] failed; the whole log is in build/clients.log"
}
# Their own warnings are not ours to mend.
AC_CLIENTS=1 exec $venv/bin/python -m pytest -W ignore "$@" tests/clients \
  tests/contract/test_runner_contract.py tests/e2e/test_openai_client.py
