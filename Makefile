# Every target does its own set-up: a fresh machine needs make, git and Python 3.11 or newer, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
PYTEST_ARGS ?=
# The lab's tests mostly wait for engines: three processes, each with a lab of its own, keep two cores busy.
LABS ?= $(if $(SANDBOXER_LAB),0,3)
# The others wait for half of their time too, for what is slow or hung on purpose.
UNITS ?= 3

.PHONY: help demo test test-unit faults histories check format schemas lab-up lab-down smoke-remote bench clean
help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

$(STAMP): constraints.txt pyproject.toml scripts/set-up.sh
	@PYTHON=$(PYTHON) sh scripts/set-up.sh $(VENV) && touch $@

demo: $(STAMP) ## The main job on real hosts, from plan to clean-up
	@$(BIN)/python -m scripts.demo

test: test-unit ## All tests, those on the lab's real hosts included (root on Linux)
	@$(BIN)/pytest -n $(LABS) --dist worksteal -m lab $(PYTEST_ARGS)

test-unit: $(STAMP) ## The tests that need no host and no root
	@$(BIN)/pytest -n $(UNITS) -m "not lab" $(PYTEST_ARGS)

faults: $(STAMP) ## The fault matrix in full, and the table of docs/reliability.md from what it found (root on Linux)
	@$(BIN)/python -m scripts.faults -n $(LABS) --dist worksteal $(PYTEST_ARGS)

histories: $(STAMP) ## 10,000 random histories on simulated hosts (minutes)
	@SANDBOXER_HISTORIES=$${SANDBOXER_HISTORIES:-10000} $(BIN)/pytest -n 2 -rP tests/histories/test_histories.py $(PYTEST_ARGS)

check: $(STAMP) ## Format, lint, types, layers, schemas, library page, tracked files, lengths, links, specification, registry, shell, duplicates
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m sandboxer.model.schemas --check schemas
	@$(BIN)/python -m sandboxer.api.schema --check schemas
	@$(BIN)/python -m scripts.tracked
	@$(BIN)/python -m scripts.lengths
	@$(BIN)/python -m scripts.library --check
	@$(BIN)/python -m scripts.links
	@$(BIN)/python -m scripts.specification
	@$(BIN)/python -m scripts.registry
	@$(BIN)/python -m scripts.shell
	@$(BIN)/python -m scripts.duplicates

format: $(STAMP) ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schemas: $(STAMP) ## Write schemas/ from the models
	@$(BIN)/python -m sandboxer.model.schemas schemas
	@$(BIN)/python -m sandboxer.api.schema schemas

lab-up: $(STAMP) ## Start the lab's hosts and leave them running
	@$(BIN)/python -m tests.lab up

lab-down: $(STAMP) ## Stop the lab's hosts, leaving nothing behind
	@$(BIN)/python -m tests.lab down

smoke-remote: $(STAMP) ## Follow docs/runbooks/profile-compose-e2e.md on a host of yours: HOST=[USER@]ADDRESS[:PORT]
	@sh scripts/smoke-compose-e2e.sh "$(HOST)"

bench: $(STAMP) ## The plan, apply and create benchmarks, as ratios to their floors, what a State Hub that hangs costs, and its page
	@$(BIN)/python -m benchmarks.plan
	@$(BIN)/python -m benchmarks.apply
	@$(BIN)/python -m benchmarks.create
	@$(BIN)/python -m benchmarks.hub
	@$(BIN)/python -m benchmarks.hub_page

clean: ## Remove what set-up and tools made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
