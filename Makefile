# `make` lists what there is. Everything runs in .venv and needs nothing but Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
# Tests wait for servers and processes more than they compute: four at once on two cores; 0: one after the other.
TESTS_AT_ONCE ?= 4
# For how long `make chaos` disturbs, in seconds.
DURATION ?= 180
AT_ONCE := -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder
# The demo and the tests install missing servers, where they may (Debian or Ubuntu, as root).
export ROWCALL_INSTALL ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format bench chaos plans up down dist docs schema

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / — /'

.venv/ready: pyproject.toml rpc_client/pyproject.toml examples/accounts/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ./rpc_client --editable . --editable ./examples/accounts --group dev
	touch .venv/ready

setup: .venv/ready  ## Make .venv with everything in it

demo: setup  ## 50 agent executions over two workers, one of which is killed half-way
	$(BIN)/rowcall demo

test: setup  ## The tests, against real servers (≤ 8 minutes)
	$(BIN)/python -m pytest $(AT_ONCE) -m "not heavy and not engine"

test-all: setup  ## The tests with big data and long runs too
	$(BIN)/python -m pytest $(AT_ONCE)

check: setup  ## Style, types, architecture and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar sql examples
	$(BIN)/squawk --config .squawk.toml $$(find sql examples -path '*/migrations/*.sql')

format: setup  ## Put code and SQL into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bench: .venv/ready
	$(BIN)/python -m pip install --quiet --group bench
	touch .venv/bench

bench: .venv/bench  ## Beside its peers and beside your own pool (≤ 40 minutes; BENCH_ARGS=--quick: 6; BENCH_JSON=file)
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

chaos: setup  ## Faults on purpose, and whether anything was lost (DURATION=180, SEED=any; CHAOS_ARGS=--no-times)
	$(BIN)/python -m tests.chaos --duration $(DURATION) $(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)

plans: setup  ## Every statement of the platform on a million rows: what it takes goes into docs/platform.md
	$(BIN)/python -m tests.contract.at_size

up: setup  ## Find the three servers or start private ones
	$(BIN)/rowcall up

down: setup  ## Stop what `make up` started
	$(BIN)/rowcall down

dist: setup  ## Build both wheels into dist/
	$(BIN)/python -m build --outdir dist rpc_client
	$(BIN)/python -m build --outdir dist .

docs: setup  ## Write docs/configuration.md anew, from the settings
	$(BIN)/rowcall config --markdown > docs/configuration.md

schema: setup  ## Write sql/schema.sql anew, from the migrations
	$(BIN)/python -m tests.schema
