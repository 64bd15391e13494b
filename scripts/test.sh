#!/usr/bin/env bash
# Runs all tests: those on a real Slurm, which wait more than they work, beside all others. Their output comes last.
# Usage: scripts/test.sh PYTHON
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
on_slurm=(tests/slurm tests/conformance)

said=$(mktemp)
# A shell that is no terminal's starts what runs beside it deaf to SIGINT, and nohup to SIGHUP.
env --default-signal=INT,QUIT,HUP "$python" -m pytest -q -p no:cacheprovider "${on_slurm[@]}" >"$said" 2>&1 &
beside=$!
# Its fixtures end their daemons when it is interrupted.
trap 'kill -INT "$beside" 2>/dev/null; wait "$beside"; rm -f "$said"' EXIT

env --default-signal=HUP "$python" -m pytest -q "${on_slurm[@]/#/--ignore=}"
rest=$?
echo "… and those on a real Slurm:"
wait "$beside"
slurm=$?
cat "$said"
exit $((rest || slurm))
