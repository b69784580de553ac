#!/bin/sh
# Make a virtual environment with napari-ies in it, the versions held by constraints.txt.
# Usage: scripts/setup.sh FOLDER demo|dev     (dev: with the tools for tests and checks)
set -eu
venv=$1
kind=$2

good() { "$1" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ ! -x "$venv/bin/python" ]; then
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11 ''; do
        if [ -z "$python" ]; then
            echo "napari-ies needs Python 3.11 or newer with venv (on Debian and Ubuntu: apt-get install python3-venv); name it with PYTHON=… if it is not on the path." >&2
            exit 1
        fi
        good "$python" && break
    done
    "$python" -m venv "$venv"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "Installing napari-ies and what it needs into $venv; the first time this takes some minutes."
pip install --quiet --upgrade 'pip>=25.1' # the first that installs dependency groups
if [ "$kind" = dev ]; then
    pip install --quiet -c constraints.txt -e '.[all]' --group dev
else
    pip install --quiet -c constraints.txt -e '.[all]'
fi
