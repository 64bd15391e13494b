#!/usr/bin/env bash
# Runs the fast tests under each of these Pythons that is installed, each in an environment of its own.
# Usage: scripts/test-pythons.sh 3.11 3.12 3.13
set -euo pipefail
cd "$(dirname "$0")/.."

tested=() failed=()
for version in "$@"; do
    python=python$version
    # It must run: a shim of pyenv is there for versions that are not chosen too.
    "$python" -c '' 2>/dev/null || { echo "Python $version: not installed, and not tested"; continue; }
    venv=.venv/pythons/$version
    if [[ pyproject.toml -nt $venv/.stamp || constraints.txt -nt $venv/.stamp ]]; then
        echo "Python $version: installing Watchkeeper and what its fast tests need into $venv …"
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
            --editable '.[demo,dev]'
        touch "$venv/.stamp"
    fi
    echo "Python $version:"
    scripts/test-fast.sh "$venv/bin/python" || failed+=("$version")
    tested+=("$version")
done
((${#tested[@]})) || { echo "none of Python $* is installed: nothing was tested" >&2; exit 1; }
((${#failed[@]} == 0)) || { echo "failed under Python ${failed[*]}" >&2; exit 1; }
echo "passed under Python ${tested[*]}"
