#!/usr/bin/env bash
# End what up.sh started, each daemon by its pid file, with the jobs that run there; then remove the folder.
#
#   scripts/slurm/down.sh [--keep] [--light] [FOLDER]        --keep: the folder stays, with its logs
#
# The user that up.sh made, and the packages, stay.
set -euo pipefail

keep= light=
while [[ ${1-} == --* ]]; do
    case $1 in
        --keep) keep=1 ;;
        --light) light=1 ;;
        *) printf 'slurm: no option %s\n' "$1" >&2 && exit 2 ;;
    esac
    shift
done
lab=${1:-${TMPDIR:-/tmp}/watchkeeper-slurm${light:+-light}}
[[ -d $lab ]] || exit 0
lab=$(cd "$lab" && pwd)
[[ -e $lab/.watchkeeper-slurm ]] || { printf 'slurm: %s is none of ours; nothing done\n' "$lab" >&2; exit 2; }

gone() { [[ ! -d /proc/$1 ]] || grep -q '^State:\sZ' "/proc/$1/status" 2>/dev/null; }

end() { # name of a pid file
    local pid left=200
    pid=$(tr -dc 0-9 2>/dev/null <"$lab/pid/$1") && [[ $pid ]] || return 0
    # The number may be another's by now.
    grep -qsF "$lab" "/proc/$pid/cmdline" "/proc/$pid/environ" || return 0
    kill -TERM "$pid" && kill -CONT "$pid" || return 0
    until gone "$pid"; do
        ((left--)) || kill -KILL "$pid" || true
        ((left < -100)) && break
        sleep 0.05
    done
    rm -f "$lab/pid/$1"
}

for file in "$lab"/pid/slurmd-*; do
    [[ -e $file ]] && end "${file##*/}"
done
end slurmctld
# Jobs outlive slurmd on purpose: end those of this lab, and no others.
jobs_own() { # a process's folder in /proc
    local line found=0
    grep -qsF "SLURM_CONF=$lab/etc/slurm.conf" "$1/environ" || return 1
    grep -qsx slurmstepd "$1/comm" && return 0
    while IFS= read -r -d '' line; do
        [[ $line == "SLURM_CONF=$lab/etc/slurm.conf" || $line == SLURM_JOB_ID=* ]] && found=$((found + 1))
    done <"$1/environ"
    ((found == 2))
} 2>/dev/null
for process in /proc/[0-9]*; do
    if jobs_own "$process"; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
done
end slurmdbd
end mariadbd
end munged
# A guard that runs this is not to end itself.
[[ $(cat "$lab/pid/guard" 2>/dev/null) == "$$" ]] || end guard
[[ $keep ]] || rm -rf "$lab"
