#!/usr/bin/env bash
# Sets Actinium up in .venv and serves its embedded model: needs Python 3.11+ and a C++ compiler.
# Arguments go to `actinium serve`, for example: scripts/setup_and_serve.sh --port 8080
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

install_checkout all
exec .venv/bin/actinium serve "$@"
