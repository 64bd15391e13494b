#!/usr/bin/env bash
# Runs all tests in parts beside one another. Those on a real Slurm, in hangs and around jobs wait more than they work,
# so that more parts than processors end sooner. What the first part prints is shown as it comes, the others' last.
# Usage: scripts/test.sh PYTHON
set -uo pipefail
cd "$(dirname "$0")/.." || exit
python=$1
# The folders of each part but the first, which has all others.
parts=(
    "tests/slurm tests/conformance tests/browser"
    "tests/core tests/crash tests/docs tests/examples tests/experiment tests/fuzz tests/hangs"
    "tests/integrations tests/iofaults tests/launch tests/publish"
    "tests/show tests/scripts"
)
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

# Thousands of short commands are started: where Python may not keep what it compiled, each would compile all again.
"$python" -m compileall -q src

others=(tests)
for number in "${!parts[@]}"; do
    read -ra folders <<<"${parts[$number]}"
    run "${folders[@]}" >"$printed/$number" 2>&1 &
    started+=($!)
    others+=("${folders[@]/#/--ignore=}")
done
run "${others[@]}"
code=$?
for number in "${!parts[@]}"; do
    wait "${started[$number]}" || code=1
    echo "… and ${parts[$number]}:"
    cat "$printed/$number"
done
exit "$code"
