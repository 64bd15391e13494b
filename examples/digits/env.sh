# Sourced by every script of this experiment: all that depends on the machine is here.
# On a cluster, put your `module load …` here, and activate the environment in which you installed watchkeeper[demo].

# One BLAS thread: the same seed gives the same bytes, and parallel jobs do not compete for cores.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

_activate="$(dirname "${BASH_SOURCE[0]}")/../../.venv/bin/activate"
if [ -f "$_activate" ]; then
    . "$_activate"
fi
unset _activate
