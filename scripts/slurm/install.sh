#!/usr/bin/env bash
# Install what a Slurm of our own needs, on Debian or Ubuntu: scripts/slurm/install.sh [--light]
# Does nothing where all of it is there. --light: without the accounting's database.
set -euo pipefail

# python3-venv: the ordinary user whose jobs run there may have no other Python than the system's.
wanted=(munge slurm-client slurmctld slurmd python3-venv)
[[ ${1-} == --light ]] || wanted+=(slurmdbd mariadb-server)

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID)); then
    printf 'slurm: these packages are missing, and only root can install them: %s\n' "${missing[*]}" >&2
    exit 77
elif ! command -v apt-get >/dev/null; then
    printf 'slurm: no apt-get here; install these by hand: %s\n' "${missing[*]}" >&2
    exit 77
fi

# A package may not start its daemon: ours run elsewhere, under their own configuration.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp "${TMPDIR:-/tmp}/watchkeeper-apt-XXXXXX")
printf 'slurm: installing %s …\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    printf 'slurm: the installation failed; the end of %s:\n' "$log" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"
