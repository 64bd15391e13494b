# Sourced by every script of this experiment: the one place that knows this machine.
# On a cluster, write your `module load …` here, and activate the environment in which you installed watchkeeper[ml].

# Jobs side by side do not fight over cores, and nobody asks the network: all that is needed lies in work/ (prepare.py).
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

_activate="$(dirname "${BASH_SOURCE[0]}")/../../.venv/bin/activate"
if [ -f "$_activate" ]; then
    . "$_activate"
fi
unset _activate
