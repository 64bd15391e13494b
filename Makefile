# Watchkeeper's house: `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := examples/digits
BENCHMARK := examples/benchmark
FINETUNE := examples/finetune
CAPITALIZATION := examples/capitalization
SIZE := full
SECONDS := 60
PYTHONS := 3.11 3.12 3.13
SEED := 1
DAYS := 0:1000
JOBS := 1000
TWINS := .venv-twins
# What ordinary users can run: their jobs are tried.
TWINS_PYTHON := /usr/bin/python3
CAPITALIZATION_full :=
CAPITALIZATION_small := --runs r8_lr1e-2 --evals '*/epoch1'

.PHONY: help bench-scale demo demo-pipeline demo-benchmark demo-finetune demo-capitalization demo-trust demo-publish test test-fast test-pythons mutants test-all faults hangs health twins fuzz simulate thousand io-faults sync-faults check docs site slurm-up slurm-down clean
.DEFAULT_GOAL := help

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-19s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.stamp-demo ## run a real experiment on this machine: 4 fine-tunes, 18 evaluations, under two minutes
	@$(BIN)/watchkeeper run $(DEMO)
	@printf '%s\n' '' 'Once more:      make demo         (it submits nothing, and says why)' \
		'From the start: make clean demo' '' \
		'See it in a browser: $(BIN)/watchkeeper serve $(DEMO) --open'

demo-pipeline: $(VENV)/.stamp-demo ## six recorded steps over real wines, and the log and manifests they leave; seconds
	@$(BIN)/python examples/pipeline/pipeline.py

demo-benchmark: $(VENV)/.stamp-benchmark ## token by token against masked diffusion: a table and a plot; seconds, after PyTorch is there
	@cd $(BENCHMARK) && $(abspath $(BIN))/python src/main.py --config config/experiments.yaml --output_dir results/raw_data
	@echo && $(BIN)/python $(BENCHMARK)/src/plot.py $(BENCHMARK)/results/raw_data/raw_metrics.csv

demo-finetune: $(VENV)/.stamp-ml ## a tiny language model, fine-tuned under watch: two tiers, a timeout survived, what it costs; two minutes
	@cd $(FINETUNE) && $(abspath $(BIN))/python train.py
	@cd $(FINETUNE) && $(abspath $(BIN))/python train.py --compare
	@printf '%s\n' '' 'Look, from $(FINETUNE):' \
		"  cat status/training_status.json | jq '{step, loss, val_loss, gap}'" \
		'  grep -i timeout training_output.log' \
		'  tail -f training_output.log      (while it trains)' \
		'A daemon that trains on what is put into queue/: docs/finetune.md' \
		'From the start: make clean demo-finetune'

demo-capitalization: $(VENV)/.stamp-ml ## torchtune and inspect-ai for real: 4 LoRA runs, 18 evaluations; five minutes, SIZE=small one
	@[[ '$(SIZE)' == full || '$(SIZE)' == small ]] || { echo 'SIZE is full or small, not $(SIZE)' >&2; exit 2; }
	@$(BIN)/python $(CAPITALIZATION)/prepare.py
	@$(BIN)/watchkeeper run $(CAPITALIZATION) $(CAPITALIZATION_$(SIZE))
	@printf '%s\n' '' 'Look again:     $(BIN)/watchkeeper status $(CAPITALIZATION)' \
		'Why and when:   less $(CAPITALIZATION)/run-torchtune.log $(CAPITALIZATION)/run-inspect.log' \
		'One answer:     $(BIN)/inspect view --log-dir $(CAPITALIZATION)/r8_lr1e-2/eval/capitalization_epoch1/logs' \
		'Once more:      make demo-capitalization         (it submits nothing, and says why)' \
		'From the start: make clean demo-capitalization'

demo-trust: $(VENV)/.stamp-trust ## sign the checkpoints of one capitalization run, and verify them back to the first event; three minutes
	@$(BIN)/python $(CAPITALIZATION)/prepare.py
	@$(BIN)/watchkeeper run $(CAPITALIZATION) $(CAPITALIZATION_small)
	@scripts/demo-trust.sh $(BIN) $(CAPITALIZATION)

demo-publish: demo-trust ## publish one of them to a Hub on this machine, and verify it as a stranger; four minutes
	@scripts/demo-publish.sh $(BIN) $(CAPITALIZATION)

test: check ## all of `check`, then the tests
	@scripts/test.sh $(abspath $(BIN))/python

test-fast: $(VENV)/.stamp-dev ## what one runs before each commit: the tests of everything that decides and reads; under a minute
	@scripts/test-fast.sh $(abspath $(BIN))/python

test-pythons: ## the same under each of Python 3.11, 3.12 and 3.13 that is installed (PYTHONS='3.12' is one of them)
	@scripts/test-pythons.sh $(PYTHONS)

mutants: $(VENV)/.stamp-dev ## change the pure parts in small ways, and name each change that no test notices (half an hour; SEED=2 is another sample)
	@nice $(BIN)/python -m tests.mutants --seed $(SEED)

test-all: test ## all of `test`, and what takes longer: the fault tables, and the whole capitalization experiment on a real Slurm (root; several hours)
	@$(MAKE) --no-print-directory faults hangs health io-faults twins fuzz simulate sync-faults
	@WATCHKEEPER_TEST_SIZE=full $(BIN)/python -m pytest -q tests/crash/test_submitter.py tests/slurm/test_capitalization.py --timeout 2400

faults: $(VENV)/.stamp-dev ## harm a watch on a real Slurm in fourteen ways, and print what came of it (root; eight minutes)
	@$(BIN)/python -m tests.slurm.faults

hangs: $(VENV)/.stamp-dev ## hang a training in twenty-three ways, and print what came of it (root for the full disk; a minute)
	@$(BIN)/python -m tests.hangs.faults

health: $(VENV)/.stamp-dev ## five jobs on a real Slurm that are not well, and what was said of each (root; three minutes)
	@$(BIN)/python -m tests.slurm.health

twins: $(VENV)/.stamp-dev $(TWINS)/.stamp-watchkeeper $(TWINS)/.stamp-servatus $(TWINS)/.stamp-submitit ## servatus, submitit and Watchkeeper under twelve faults on a real Slurm: how often each ran a job twice, or lost it (root; half an hour)
	@$(BIN)/python -m tests.twins

sync-faults: $(VENV)/.stamp-dev ## send runs with wandb to a server on this machine that fails in thirty-one ways, and print whether what was said is true (ten minutes)
	@$(BIN)/python -m tests.publish.wandb.faults

fuzz: $(VENV)/.stamp-dev ## try each reader of files and output with nearly right input, a minute each (forty minutes; SECONDS=5 is a quick round)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

thousand: $(VENV)/.stamp-dev $(TWINS)/.stamp-watchkeeper $(TWINS)/.stamp-submitit ## a thousand short jobs on a real Slurm by Watchkeeper and by submitit: commands, CPU, how late each end is known, jobs lost (root; half an hour; JOBS=100)
	@$(BIN)/python -m tests.slurm.thousand --jobs $(JOBS)

simulate: $(VENV)/.stamp-dev ## a thousand simulated days of 200 jobs with faults drawn at random, and one of 10,000 (some hours; DAYS=7:8 is one)
	@nice $(BIN)/python -m tests.simulation --seeds $(DAYS)

io-faults: $(VENV)/.stamp-dev ## let each file operation of recorder, wrapper and watcher fail once, in five ways, and print what came of it (a C compiler; an hour)
	@$(BIN)/python -m tests.iofaults

bench-scale: $(VENV)/.stamp-dev ## how each cost grows with an experiment, beside a baseline; fails where a ratio or a growth is over its goal (ten minutes)
	@$(BIN)/python -m bench.scale

check: $(VENV)/.stamp-dev ## style, types, the shell scripts that jobs run, which way imports point, and how dense the code is
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck src/watchkeeper/schedulers/wrapper/*.sh
	@$(BIN)/python scripts/density.py

docs: $(VENV)/.stamp-dev ## are the docs complete, and do their examples hold
	@$(BIN)/python -m pytest -q tests/docs

site: $(VENV)/.stamp-dev ## the documentation as a web site in site/, which loads nothing from another host
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo 'Look: site/index.html'

slurm-up: ## start a real Slurm on this machine, under one temporary folder (root; Debian or Ubuntu)
	@scripts/slurm/up.sh

slurm-down: ## end it, and remove its folder
	@scripts/slurm/down.sh

clean: ## remove what the demo and the tools left; the environment in .venv stays
	@rm -rf run_logs/digits run_logs/capitalization run_logs/experiments.md $(DEMO)/.watchkeeper $(DEMO)/.detach $(DEMO)/run-*.log* $(DEMO)/__pycache__ \
		$(DEMO)/*/artifacts $(DEMO)/*/slurm-*.out $(DEMO)/*/eval/slurm-*.out $(DEMO)/*/eval/*/ examples/pipeline/artifacts \
		$(BENCHMARK)/results $(BENCHMARK)/src/__pycache__ \
		$(addprefix $(FINETUNE)/,artifacts checkpoints status training_output.log .daemon.pid __pycache__) \
		$(addprefix $(CAPITALIZATION)/,.watchkeeper .detach run-*.log* __pycache__ work .tmp-* */artifacts */slurm-*.out) \
		$(addprefix $(CAPITALIZATION)/*/eval/*/,logs slurm-*.out)
	@rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.stamp-venv:
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is not there; name another one: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Watchkeeper needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) -V 2>&1); name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# A stamp is younger than what it was made from, so that a second call installs nothing.
$(VENV)/.stamp-demo: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo 'Installing Watchkeeper and what the demo needs into $(VENV) …'
	@$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.stamp-benchmark: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo 'Installing Watchkeeper and what the benchmark needs (PyTorch for the CPU, 190 MB) into $(VENV) …'
	@$(INSTALL) --editable '.[benchmark]'
	@touch $@

$(VENV)/.stamp-ml: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo 'Installing Watchkeeper and the training libraries (PyTorch for the CPU, transformers, …; 1.9 GB) into $(VENV) …'
	@$(INSTALL) --editable '.[ml]'
	@touch $@

$(VENV)/.stamp-trust: $(VENV)/.stamp-ml
	@$(INSTALL) --editable '.[ml,trust]'
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo 'Installing Watchkeeper and what its tests need into $(VENV) …'
	@$(INSTALL) --editable '.[demo,dev,benchmark,ml]'
	@touch $@ $(VENV)/.stamp-demo $(VENV)/.stamp-benchmark $(VENV)/.stamp-ml $(VENV)/.stamp-trust

# Of the twin table, each tool has an environment that holds nothing else.
$(TWINS)/.stamp-watchkeeper: pyproject.toml constraints.txt
	@$(TWINS_PYTHON) -m venv $(TWINS)/watchkeeper
	@$(TWINS)/watchkeeper/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(TWINS)/.stamp-%: tests/twins/pins/%.txt
	@$(TWINS_PYTHON) -m venv $(TWINS)/$*
	@$(TWINS)/$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
