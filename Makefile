# Everything sets itself up in .venv; nothing needs root or a running server.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check docs format bench bench-guards bench-langgraph suites soak wheel clean

BENCH := .venv-bench/bin/python -m

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/core: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(PIP) -e .
	@touch $@

.venv/dev: .venv/core
	@$(PIP) --group dev
	@touch $@

.venv/demo: .venv/core
	@$(PIP) -e ".[fastapi,http,smtp]" --group demo
	@touch $@

demo: .venv/demo  ## one customer, three channels, one conversation: a bot on a page
	@$(BIN)/python examples/fastapi_bot/demo.py $(ARGS)

test: .venv/dev  ## all tests that fit into minutes, or those of ARGS
ifdef ARGS
	$(BIN)/python -m pytest -q $(ARGS)
else
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not alone" tests
	$(BIN)/python -m pytest -q -m alone tests/bench tests/stores/redis/test_lost_replies.py
	$(BIN)/python -m pytest -q README.md docs  # a page from top to bottom, so in one process
endif

check: .venv/dev docs  ## format, lint, types, import rules, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs README.md docs

# What builds the site stands apart: tests need none of it, and a reader of the pages no more.
.venv-docs/ready: pyproject.toml constraints.txt
	@.venv-docs/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group docs
	@touch $@

docs: .venv-docs/ready  ## the pages and the reference as a site, in build/site
	@.venv-docs/bin/python docs/site/build.py

format: .venv/dev  ## bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The frameworks that are measured beside ours want other versions than the tests do.
.venv-bench/ready: pyproject.toml bench/peers/requirements.txt
	@$(BENCH) pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-bench
	@$(BENCH) pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BENCH) pip install --quiet --disable-pip-version-check -e . -r bench/peers/requirements.txt
	@touch $@

bench: .venv-bench/ready  ## the figures of README and docs, measured here
	$(BENCH) bench $(ARGS)

# Two of the guardrails that are measured beside ours have the same import name.
.venv-guards/%/ready: bench/peers/guards/%.txt
	@$(PYTHON) -m venv --clear .venv-guards/$*
	@.venv-guards/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-guards: .venv/dev .venv-guards/openai/ready .venv-guards/guardrails_ai/ready .venv-guards/nemo/ready  ## guards beside other guardrails (1.3 GB)
	$(BIN)/python -m bench.guards $(ARGS)

bench-langgraph: .venv/dev  ## agents of LangChain over its SQLite saver and over ours
	$(BIN)/python -m bench.checkpoints $(ARGS)

.venv-suites/ready: pyproject.toml tests/integrations/suites.txt
	@$(PYTHON) -m venv --clear .venv-suites
	@.venv-suites/bin/python -m pip install --quiet --disable-pip-version-check -e . -r tests/integrations/suites.txt
	@touch $@

suites: .venv-suites/ready  ## the session tests that openai-agents ships, against ours
	tests/integrations/suites.sh

soak: .venv/dev  ## the long fault tests
	CTXBRIDGE_FUZZ_SCALE=50 CTXBRIDGE_KILLS=5000 CTXBRIDGE_CANCELS=1000000 CTXBRIDGE_STORM_SCALE=50 \
	CTXBRIDGE_MACHINE_EXAMPLES=1500 CTXBRIDGE_CRASHES=300 CTXBRIDGE_TRIALS=5000 $(BIN)/python -m pytest -q -m slow $(ARGS)

# The time of all that is packed: hatchling's own, so whoever builds the tag again gets the same bytes.
EPOCH := 1580601600
RELEASE := .venv-release/bin/python -m

.venv-release/ready: pyproject.toml constraints.txt
	@$(PYTHON) -m venv --clear .venv-release
	@$(RELEASE) pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(RELEASE) pip install --quiet --disable-pip-version-check -c constraints.txt --group release
	@touch $@

wheel: .venv-release/ready  ## wheel, sdist and parts list (SBOM) in dist/, the same bytes wherever they are made
	@rm -rf dist
	SOURCE_DATE_EPOCH=$(EPOCH) $(RELEASE) hatchling build -d dist
	$(RELEASE) release.sbom dist

clean:  ## remove what was set up
	rm -rf .venv .venv-bench .venv-docs .venv-guards .venv-suites .venv-release build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
