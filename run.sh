#!/usr/bin/env bash
# Sets everything up and goes the whole road. Options are those of `marquee run`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh
exec .venv/bin/marquee run "$@"
