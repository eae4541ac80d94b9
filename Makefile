# Every target needs Python 3.11 or newer and nothing else; what it needs besides goes into .venv.
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-16 test-pooler long check lint types layers bench docs lock clean

help:  ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-11s  %s\n", $$1, $$2}'

setup: .venv/dev  ## Make .venv with everything for development

demo: .venv/demo  ## Show a small shop at work: two workers, one killed, every job accounted for
	@$(BIN)/python -m examples.shop

test: .venv/dev  ## Run all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-16: .venv/dev  ## Run all tests on PostgreSQL 16 instead of 18
	@PGQUEUE_TEST_POSTGRES=16 $(BIN)/python -m pytest -n 2 --dist worksteal

test-pooler: .venv/dev  ## Run what workers do behind PgBouncer, which lends a server for a transaction
	@PGQUEUE_TEST_POOLER=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not long' \
	  tests/worker tests/completion tests/queues tests/failure tests/poolers

long: .venv/dev  ## Run longer proofs of the storage; PGQUEUE_LONG=seconds each, 60
	@$(BIN)/python -m pytest -n 2 -m long -s

check: lint types layers docs test test-16 test-pooler  ## Do exactly what CI does

lint: .venv/dev  ## Check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/dev  ## Check types with mypy and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright

layers: .venv/dev  ## Check that each layer imports only from those below
	@$(BIN)/lint-imports

bench: .venv/dev  ## Measure: exact counters, the drain against the floor, latency, bulk (minutes)
	@$(BIN)/python -m benchmarks.counters
	@$(BIN)/python -m benchmarks.drain
	@$(BIN)/python -m benchmarks.latency
	@$(BIN)/python -m benchmarks.bulk

docs: .venv/dev  ## Build the documentation into build/docs
	@$(BIN)/mkdocs build --strict --site-dir build/docs 2>&1 | { grep -v "^INFO" || true; }
	@echo "build/docs/index.html"

lock: .venv/dev  ## Choose new versions for requirements/*.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 --upgrade --extra dev pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 --extra demo -c requirements/dev.txt pyproject.toml -o requirements/demo.txt

clean:  ## Remove .venv and all that was built
	@rm -rf .venv build dist

.venv/pip:
	@echo "Making .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=."; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/demo .venv/dev: .venv/%: requirements/%.txt pyproject.toml | .venv/pip
	@echo "Installing what '$*' needs"
	@$(PIP) install --progress-bar off --require-hashes --requirement requirements/$*.txt \
	  | sed -un -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected.*/  unpacking/p'
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
