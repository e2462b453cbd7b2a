#!/usr/bin/env bash
# Runs Feast's own universal offline-store tests (historical retrieval, types, materialisation) against our stores.
#
#   git clone https://github.com/feast-dev/feast /tmp/feast
#   scripts/feast_universal_suite.sh /tmp/feast [duckdb|spark] [pytest arguments…]
#
# Nothing of Feast's is copied into this repository. The suite's test dependencies go into a virtual environment
# beside the checkout (CHECKOUT-venv), on top of ours (.venv, or PYTHON's); no container is started.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
checkout=${1:?give the path of a Feast checkout}
checkout=$(cd "$checkout" && pwd)
engine=${2:-duckdb}
shift $(($# < 2 ? $# : 2))
python=${PYTHON:-$root/.venv/bin/python}
venv=$checkout-venv

[ -d "$checkout/sdk/python/tests/universal" ] || { echo "$checkout is not a checkout of Feast with its tests." >&2; exit 2; }

if [ ! -e "$venv/ready" ]; then
    "$python" -m venv --without-pip "$venv"
    "$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
        > "$("$venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/ours.pth"
    # What the stores run on stays as it is; the suite's other needs may differ from ours.
    "$python" -c "import importlib.metadata as m
for name in 'deltalake duckdb feast numpy pandas protobuf pyarrow pydantic pyspark pytest sqlalchemy'.split():
    print(f'{name}=={m.version(name)}')" > "$venv/constraints.txt"
    uv=$(command -v uv || true)
    packages=(assertpy minio moto pytest-asyncio pytest-env pytest-lazy-fixtures pytest-mock
        pytest-timeout pytest-xdist python-keycloak testcontainers)
    if [ -n "$uv" ]; then
        "$uv" pip install --quiet --python "$venv/bin/python" --constraints "$venv/constraints.txt" "${packages[@]}"
    else
        "$venv/bin/python" -m ensurepip --upgrade > /dev/null
        "$venv/bin/python" -m pip install --quiet --constraint "$venv/constraints.txt" "${packages[@]}"
    fi
    touch "$venv/ready"
fi

cd "$checkout/sdk/python"
export ENGINE=$engine FEAST_IS_LOCAL_TEST=True FULL_REPO_CONFIGS_MODULE=feast_suite
export PYTHONPATH="$checkout/sdk/python:$root/scripts:$root"
exec "$venv/bin/python" -m pytest --integration -p no:cacheprovider \
    tests/integration/offline_store/test_universal_historical_retrieval.py \
    tests/integration/offline_store/test_universal_types.py \
    tests/integration/offline_store/test_universal_materialization.py \
    tests/integration/materialization/test_universal_materialization.py "$@"
