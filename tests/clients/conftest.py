"""These tests need packages of the extra ``clients``: scripts/clients.sh installs and runs them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("AC_CLIENTS") else ["test_*.py"]
