#!/bin/bash
# Stands for every Slurm command of one trial, under each of their names: asks the lab, whatever the environment of the
# caller, and writes the ids of all jobs that Slurm took into `jobs`. The file `fault` names a fault of sbatch; the next
# submission has it, and no other.
unset LD_PRELOAD ${!FAKETIME*} NO_FAKE_STAT
export SLURM_CONF=@CONF@
here=@TRIAL@
command=${0##*/}
[[ $command == sbatch && " $* " != *" --version "* ]] || exec "/usr/bin/$command" "$@"

input=$(mktemp "$here/input.XXXXXX")
cat >"$input"

accept() { # submits, and prints Slurm's answer
    local answer code
    answer=$(/usr/bin/sbatch "$@" <"$input")
    code=$?
    ((code)) || grep -oEm1 '[0-9]+' <<<"$answer" >>"$here/jobs"
    printf '%s\n' "$answer"
    return "$code"
}

later() { # after another submission was taken, or when none comes
    local left=600
    until [[ -s $here/jobs ]] || ((left-- == 0)); do sleep 0.2; done
    sleep "0.$((RANDOM % 10))"
    accept "$@"
    rm "$here/pending"
}

no_answer() {
    echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
    exit 1
}

if ! mv "$here/fault" "$input.fault" 2>/dev/null; then
    accept "$@"
    exit
fi
case $(<"$input.fault") in
    answer-lost) accept "$@" >/dev/null && no_answer ;;
    late)
        touch "$here/pending"
        later "$@" </dev/null >/dev/null 2>&1 &
        no_answer
        ;;
    submitted-twice) accept "$@" >/dev/null && accept "$@" ;;
    held) accept --hold "$@" ;;
    submitter-dies) accept "$@" >/dev/null && kill -KILL "$PPID" ;;
    slow-answer)
        answer=$(accept "$@") || exit
        until [[ -e $here/answer ]]; do sleep 0.1; done
        printf '%s\n' "$answer"
        ;;
esac
