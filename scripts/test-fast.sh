#!/usr/bin/env bash
# Runs the tests of what decides and reads, in under a minute on two cores: what one runs before each commit. Properties are
# tried with 20 examples instead of 100. Usage: scripts/test-fast.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
paths=(
    tests/test_imports.py
    tests/core
    tests/docs
    tests/experiment
    tests/launch
    tests/reading
    tests/record/display/test_cadence.py
    tests/record/sidecar/test_judgement.py
    tests/record/writing/test_cells.py
    tests/report
    tests/runfolder
    tests/schedulers
    tests/show/test_text.py
    tests/tools
    tests/watch/health
    tests/watch/outcome
    tests/watch/verdict
)
# They start jobs, git, training libraries or whole sessions of commands.
slow=(
    tests/docs/test_session.py
    tests/docs/test_site.py
    tests/launch/test_kept_code.py
    tests/launch/test_queue_ahead.py
    tests/launch/test_reproduce.py
    tests/schedulers/local
    tests/schedulers/test_gpus.py
    tests/schedulers/test_output.py
    tests/schedulers/wrapper
    tests/tools/test_real_tools.py
    tests/watch/health/test_rounds.py
    tests/watch/outcome/test_compute.py
    tests/watch/verdict/test_late_evidence.py
)
# Python's recursion limit, reached in Python: ten seconds for one case of many.
endless='tests/experiment/test_bad_input.py::test_bytes_that_are_no_yaml_have_a_place_too[data1-1:1-nested too deeply]'
for path in "${slow[@]}" "${endless%%::*}"; do
    [[ -e $path ]] || { echo "scripts/test-fast.sh names $path, which is not there" >&2; exit 2; }
done
# Libraries bring plugins that no test here needs, and one imports for a second.
exec "$python" -m pytest -q -p no:cacheprovider -p no:hydra_pytest -p no:anyio --hypothesis-profile fast --numprocesses 2 \
    "${slow[@]/#/--ignore=}" --deselect "$endless" "${paths[@]}"
