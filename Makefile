# `make app` and `make test` do all the set-up themselves, from a machine with Python 3.11+ and (on Debian) apt.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
APT := $(shell command -v apt-get 2>/dev/null)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo 2>/dev/null)

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  if [ -n "$(APT)" ]; then rm -rf $(VENV); $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "$(PYTHON) has no venv module: install it (Debian: python3-venv)" >&2; exit 1; fi; }
	@$(BIN)/python -m pip install -q --upgrade pip
	@touch $@

# The tested versions; CONSTRAINTS= (empty) takes the newest instead.
CONSTRAINTS ?= constraints.txt

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) $(VENV)/.created
	$(BIN)/python -m pip install -q -e '.[dev]' $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	@touch $@

.PHONY: help formats install system app test lint fmt docs wheel-check benchmarks fuzz mutants bounds constraints clean

install: $(VENV)/.installed  ## create .venv with everything

# Browser tests and PDF rendering want these; without apt they are skipped, with a reason.
system:
	@bash tools/system_packages.sh

app: $(VENV)/.installed  ## open the web calculator
	$(BIN)/python -m streamlit run app.py $(APP_ARGS)

lint: $(VENV)/.installed  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: $(VENV)/.installed  ## format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The browser tests run alone afterwards: they drive a real page, which a busy second worker slows down. Both halves run,
# whatever the first says; what fails in the browser is tried once more before it counts.
test: $(VENV)/.installed system lint  ## lint, types and the whole test suite
	@first=0; second=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser" --cov --cov-report=term:skip-covered --cov-fail-under=90 || first=$$?; \
	$(BIN)/python -m pytest -m browser || $(BIN)/python -m pytest -m browser --last-failed || second=$$?; \
	echo "make test: the tests ended with $$first, the browser tests with $$second"; \
	[ $$first = 0 ] && [ $$second = 0 ]

benchmarks: $(VENV)/.installed  ## all benchmarks, and the table in docs/benchmarks.md
	$(BIN)/python benchmarks/run.py --write

# Strict: a broken link, a page outside the navigation or an unknown name of the Python reference fails.
docs: $(VENV)/.installed  ## build the documentation site into build/site
	$(BIN)/python -m mkdocs build --strict --quiet

wheel-check: $(VENV)/.installed  ## build the release, install it alone, ask it (DIST=folder keeps the files)
	$(BIN)/python tools/wheel_check.py $(if $(DIST),--keep $(DIST))

fuzz: $(VENV)/.installed  ## half an hour of hostile input (FUZZ_ARGS="--minutes 5")
	PYTHONPATH=. $(BIN)/python benchmarks/fuzz.py $(FUZZ_ARGS)

# Cosmic Ray lives in an environment of its own; the tests run in .venv, on a temporary copy of the tree.
MUTANTS ?= 60
MUTANTS_VENV := build/mutants-venv

$(MUTANTS_VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/python -m pip install -q -e '.[mutants]' $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	@touch $@

mutants: $(VENV)/.installed $(MUTANTS_VENV)/.installed  ## put small faults into the formulas: do the tests see them? (MUTANTS=25, MUTANTS_ARGS="--seed 2")
	$(MUTANTS_VENV)/bin/python tools/mutants.py --python $(BIN)/python --count $(MUTANTS) $(MUTANTS_ARGS)

formats: $(VENV)/.installed  ## let real quantisers write tiny checkpoints (in environments of their own) and size them
	PYTHONPATH=. $(BIN)/python tools/formats.py

bounds:  ## run the examples with the lowest allowed and with the newest versions of the core's dependencies
	PYTHON=$(PYTHON) bash tools/bounds.sh

constraints: $(VENV)/.installed  ## write constraints.txt anew from .venv
	@sed -i '1,/^# Only for `make mutants`/{/^[^#]/d}' constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable > .frozen.txt
	@sed -i '2r .frozen.txt' constraints.txt && rm .frozen.txt

clean:  ## remove what make created
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
