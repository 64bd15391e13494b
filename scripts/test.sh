#!/usr/bin/env bash
# Runs all tests in three parts beside one another: those on a real Slurm, which wait more than they work, and two halves
# of the others. What the first and the second print comes last.
# Usage: scripts/test.sh PYTHON
set -uo pipefail
cd "$(dirname "$0")/.." || exit
python=$1
# The pages in a browser are here because the tests on a Slurm leave most of the processor to others.
slurm=(tests/slurm tests/conformance tests/browser)
half=(tests/core tests/crash tests/docs tests/examples tests/experiment tests/fuzz tests/hangs tests/integrations
    tests/iofaults tests/launch)
printed=$(mktemp -d)
started=()

# A shell that is no terminal's starts what runs beside it deaf to SIGINT, and nohup to SIGHUP.
run() { # pytest's arguments
    env --default-signal=INT,QUIT,HUP "$python" -m pytest -q -p no:cacheprovider "$@"
}

# Fixtures end their daemons when pytest is interrupted.
end() {
    kill -INT "${started[@]}" 2>/dev/null
    wait "${started[@]}"
    rm -rf "$printed"
}
trap end EXIT

run "${slurm[@]}" >"$printed/slurm" 2>&1 &
started+=($!)
run "${half[@]}" >"$printed/half" 2>&1 &
started+=($!)
rest=("${slurm[@]}" "${half[@]}")
run tests "${rest[@]/#/--ignore=}"
code=$?
for part in half slurm; do
    index=$([[ $part == slurm ]] && echo 0 || echo 1)
    wait "${started[$index]}" || code=1
    echo "… and $part:"
    cat "$printed/$part"
done
exit "$code"
