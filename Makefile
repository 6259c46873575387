# Everything sets itself up in .venv; nothing needs root or a running server.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench soak clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

.venv/core: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(PIP) -e .
	@touch $@

.venv/dev: .venv/core
	@$(PIP) --group dev
	@touch $@

demo: .venv/core  ## one customer, three channels, one conversation
	@$(BIN)/ctxbridge demo $(ARGS)

test: .venv/dev  ## all tests that fit into minutes
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not alone" $(ARGS)
	$(BIN)/python -m pytest -q -m alone tests/bench

check: .venv/dev  ## format, lint, types, import rules, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs README.md docs

format: .venv/dev  ## bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev  ## the figures of README and docs, measured here
	$(BIN)/python -m bench $(ARGS)

soak: .venv/dev  ## the long fault tests
	CTXBRIDGE_FUZZ_SCALE=50 CTXBRIDGE_KILLS=5000 $(BIN)/python -m pytest -q -m slow $(ARGS)

clean:  ## remove what was set up
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
