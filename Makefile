# Every target does its own set-up: python3 >= 3.11 and make are enough.
#   make demo   see it work        make test    the tests            make dev    a node on port 4566
#   make lint   style and arrows   make types   mypy --strict        make bench  the measurements
#   make simulate  days of three nodes with faults, in virtual time; a seed replays each
#   make fuzz   50,000 hostile requests, broken HTTP, slow clients, 10,000 connections
#   make chaos  kill everything for CHAOS_MINUTES, judge what happened; the report is in chaos-report/
# PYTHON picks the interpreter of a new .venv, ARGS goes to pytest, the demo, the node or the chaos run.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --no-header --no-emit-index-url \
  --no-annotate --generate-hashes --quiet
ARGS ?=
RUNS ?= 10000
CHAOS_MINUTES ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports bench determinism simulate chaos fuzz dev docs lock clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)

# The stamp is newer than the lock when the environment holds exactly what the lock names.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "python3 >= 3.11 was not found; name one with PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; name a newer one with PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m handlers.demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(STAMP)
	PYTHONPATH=.:adapters $(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

# Network namespaces, a tmpfs to fill and a shifted server clock want root and libfaketime; the report names what is missing.
chaos: $(STAMP)
	$(BIN)/python -m tests.chaos.proof --minutes $(CHAOS_MINUTES) $(ARGS)

# Days of three nodes in virtual time: SEEDS=1000 FROM= HOURS=; one again: SEED=17, smaller: SHRINK=1; planted bugs: MUTANTS=1.
simulate: $(STAMP)
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(PLAN),--plan $(PLAN)) $(if $(SHRINK),--shrink) \
	  $(if $(MUTANTS),--mutants) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) $(if $(HOURS),--hours $(HOURS)) $(ARGS)

# 50,000 hostile requests, broken HTTP, slow clients and 10,000 connections; ARGS go to pytest.
fuzz: $(STAMP)
	EVENTROUTER_TEST_FUZZ_REQUESTS=50000 $(BIN)/python -m pytest tests/fuzz -n 2 --dist loadfile -s $(ARGS)

# RUNS of one seed must give one history.
determinism: $(STAMP)
	$(BIN)/python -m bench.determinism $(RUNS)

dev: $(STAMP)
	$(BIN)/eventrouter dev $(ARGS)

# The tables of docs/ and README.md that come from the code; tests compare them.
docs: $(STAMP)
	$(BIN)/python -m eventrouter.cli.reference docs
	$(BIN)/python -m eventrouter.api.applied README.md

# Written without the address of any index, so that it installs from whichever one is configured.
lock: $(STAMP)
	$(LOCK) --upgrade --all-extras --output-file requirements.lock
	$(LOCK) --extra boto3 --constraint requirements.lock --output-file requirements-image.lock

clean:
	rm -rf $(VENV) build dist .eventrouter .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
