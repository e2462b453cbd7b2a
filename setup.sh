#!/usr/bin/env bash
# Makes .venv from the lock file, sees to Java 17 or 21, and downloads Delta's jars. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

java_is_there() {
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | grep -Eq 'version "(17|21)[."]'
}

if ! java_is_there; then
    unset JAVA_HOME
    echo "Java 17 or 21 is missing: installing openjdk-17-jre-headless"
    if ! { command -v apt-get >/dev/null && as_root apt-get update -qq \
        && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openjdk-17-jre-headless >/dev/null; } \
        || ! java_is_there; then
        echo "Java 17 or 21 could not be installed. Install a full one (not a jlink-trimmed one)," >&2
        echo "such as openjdk-17-jre-headless or Temurin 21, or point JAVA_HOME at it; then run this again." >&2
        exit 2
    fi
fi

python=
for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys, venv; assert (3, 11) <= sys.version_info < (3, 13)' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or 3.12 is missing: install it (with its venv module), then run this again." >&2
    exit 2
fi

# The environment is whole when it carries the lock file that it was made from.
if ! cmp -s requirements.lock .venv/requirements.lock; then
    echo "Installing into .venv from requirements.lock (a few minutes the first time)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
    .venv/bin/uv pip sync --quiet --python .venv --require-hashes --compile-bytecode requirements.lock
    .venv/bin/uv pip install --quiet --python .venv --no-deps --editable .
    cp requirements.lock .venv/requirements.lock
fi

.venv/bin/marquee doctor --fetch
