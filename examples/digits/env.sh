# Sourced by every script of this experiment: the one place that knows this machine.
# On a cluster, write your `module load …` here, and activate the environment in which you installed watchkeeper[demo].

# One BLAS thread: the same seed then gives the same bytes, and jobs side by side do not fight over cores.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

_activate="$(dirname "${BASH_SOURCE[0]}")/../../.venv/bin/activate"
if [ -f "$_activate" ]; then
    . "$_activate"
fi
unset _activate
