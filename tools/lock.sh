#!/usr/bin/env bash
# Writes requirements.lock: what pip picks for requirements.in in an empty environment of the oldest supported Python.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.in
{
    echo "# Made by tools/lock.sh from requirements.in; for Python 3.11 to 3.13."
    "$folder/bin/python" -m pip freeze
} >requirements.lock
