#!/bin/bash -p
#SBATCH --job-name=watchkeeper-doctor
#SBATCH --output=job.out
#SBATCH --time=5
#SBATCH --ntasks=1
#SBATCH --no-requeue

cd __FOLDER__ || exit 2
exec {never}<> <(:)

await() { # file
    until [[ -e $1 ]]; do
        ((SECONDS < 280)) || { echo "no $1 was seen"; exit 3; }
        # Writing here makes this node look at the folder afresh.
        : >look.there
        read -rt 0.02 -u "$never"
    done
}

publish() { # name, line
    printf '%s\n' "$2" >".tmp-$1" && mv ".tmp-$1" "$1" || exit 4
}

IFS= read -r host </proc/sys/kernel/hostname
publish node "$host"
for ((i = 1; i <= __ROUNDS__; i++)); do
    line="there $RANDOM$RANDOM$RANDOM$RANDOM"
    publish "there.$i" "$line"
    publish "ready.$i" ready
    await "go.$i"
    ln "there.$i" "claim.$i" 2>/dev/null
    IFS= read -r back <"claim.$i"
    publish "said.$i" "$(date +%s.%N) $back"
done
