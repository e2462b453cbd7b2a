#!/usr/bin/env bash
# Sets everything up, then checks style and runs the tests, of which one checks types. Options are those of pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
# A file stays in one process, with the homes that its tests share. tests/conftest.py orders them.
exec .venv/bin/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder "$@"
