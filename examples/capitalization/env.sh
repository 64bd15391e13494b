# Sourced by every script of this experiment: the one place that knows this machine.
# On a cluster, write your `module load …` here, and activate the environment in which you installed watchkeeper[ml].

# Jobs side by side do not fight over cores, and nobody asks the network: all that is needed lies in work/ (prepare.py).
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

_here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# prepare.py filled this cache before any job began: jobs that start together read it, and none of them builds it.
export HF_DATASETS_CACHE="$_here/work/datasets"

if [ -f "$_here/../../.venv/bin/activate" ]; then
    . "$_here/../../.venv/bin/activate"
fi
unset _here
