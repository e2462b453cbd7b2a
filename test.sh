#!/usr/bin/env bash
# Sets everything up, then checks style and types and runs the tests. Options are those of pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# Which tests go together into one process, and in which order, says tests/conftest.py.
exec .venv/bin/pytest --numprocesses=3 --dist=loadgroup --no-loadscope-reorder "$@"
