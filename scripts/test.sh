#!/usr/bin/env bash
# Runs all tests in parts beside one another. Those on a real Slurm wait more than they work, and take longest: they have
# the processor when they want it, and the others, which are niced, have the rest. What the last part prints is shown as
# it comes, the others' at the end.
# Usage: scripts/test.sh PYTHON
set -uo pipefail
cd "$(dirname "$0")/.." || exit
python=$1
# The folders of each part but the last, which has all others. The first is that on a real Slurm.
parts=(
    "tests/slurm tests/conformance tests/browser"
    "tests/core tests/crash tests/docs tests/examples tests/experiment tests/fuzz tests/hangs tests/launch"
    "tests/integrations tests/iofaults tests/publish tests/scripts tests/show"
)
printed=$(mktemp -d)
started=()

# A shell that is no terminal's starts what runs beside it deaf to SIGINT, and nohup to SIGHUP.
run() { # niceness, and pytest's arguments
    env --default-signal=INT,QUIT,HUP nice -n "$1" "$python" -m pytest -q -p no:cacheprovider "${@:2}"
}

# Fixtures end their daemons when pytest is interrupted.
end() {
    kill -INT "${started[@]}" 2>/dev/null
    wait "${started[@]}"
    rm -rf "$printed"
}
trap end EXIT

# Thousands of short commands are started: where Python may not keep what it compiled, each would compile all again.
"$python" -m compileall -q src

others=(tests)
for number in "${!parts[@]}"; do
    read -ra folders <<<"${parts[$number]}"
    run "$((number == 0 ? 0 : 5))" "${folders[@]}" >"$printed/$number" 2>&1 &
    started+=($!)
    others+=("${folders[@]/#/--ignore=}")
done
run 5 "${others[@]}"
code=$?
for number in "${!parts[@]}"; do
    wait "${started[$number]}" || code=1
    echo "… and ${parts[$number]}:"
    cat "$printed/$number"
done
exit "$code"
