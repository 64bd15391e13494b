#!/bin/bash
# The piece of work: it writes down by itself when it begins, that it is alive, and that it is done. Usage: work.sh RESULT
# While `wait` lies beside this script, it works until `go` does too.
here=$(dirname "$0")
name=${SLURM_JOB_ID:-$SERVATUS_JOB_ID}.${SLURM_RESTART_COUNT:-${SERVATUS_RESTART_COUNT:-0}}.$$
note() { echo "$1 $name $EPOCHREALTIME" >>"$here/executions"; }
note start
for ((i = 0; i < 10; i++)); do
    note alive
    sleep 0.1
done
while [[ -e $here/wait && ! -e $here/go ]]; do
    note alive
    sleep 0.2
done
mkdir -p "$(dirname "$1")" && echo weights >"$1.tmp.$$" && mv "$1.tmp.$$" "$1" || exit 1
note done
