#!/bin/sh
# Run the core's tests (no viewer) with the lowest versions that pyproject.toml allows.
# Usage: scripts/test_lowest.sh FOLDER [pytest's options]     (FOLDER: its own virtual environment)
# The lowest versions have no wheels for newer Pythons: PYTHON=… names another than python3.11.
set -eu
venv=$1
shift

[ -x "$venv/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$venv"
if [ ! -e "$venv/.ready" ] || [ pyproject.toml -nt "$venv/.ready" ]; then
    echo "Installing the lowest versions into $venv; the first time this takes some minutes and 6 GB."
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet uv
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
        --resolution lowest-direct --group test --editable '.[all]'
    touch "$venv/.ready"
fi
exec scripts/on_screen.sh --own "$venv/bin/python" -m pytest -n auto --dist loadgroup \
    --ignore tests/viewer --ignore tests/test_benchmarks.py "$@"
