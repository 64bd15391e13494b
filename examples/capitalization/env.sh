# Sourced by every script of this experiment: all that depends on the machine is here.
# On a cluster, put your `module load …` here, and activate the environment in which you installed watchkeeper[ml].

# Parallel jobs do not compete for cores, and nothing uses the network: all inputs are in work/ (prepare.py).
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

_activate="$(dirname "${BASH_SOURCE[0]}")/../../.venv/bin/activate"
if [ -f "$_activate" ]; then
    . "$_activate"
fi
unset _activate
