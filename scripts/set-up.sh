#!/bin/sh
# Creates the virtual environment: the pinned versions of constraints.txt, checked by hash, and this project.
set -eu
venv=$1
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Sandboxer needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Name another: make PYTHON=python3.12" >&2
  exit 1
}
if [ ! -x "$venv/bin/pip" ] && ! "$python" -m venv "$venv" >/dev/null 2>&1; then
  # Debian has the venv module in a separate package.
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || { echo "install python3-venv, then try again" >&2; exit 1; }
  { apt-get update -qq && apt-get install -y -qq python3-venv; } >/dev/null
  "$python" -m venv --clear "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
