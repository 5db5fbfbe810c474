# Everything runs in .venv with the versions of requirements/constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.stamp
CONSTRAINTS := requirements/constraints.txt
PYTEST_ARGS ?=
# Tests start many processes: none of them, nor a second run, should compile everything anew.
test test-quick: export PYTHONDONTWRITEBYTECODE =

# What Qt and an X server without a screen need (xauth: for xvfb-run).
GUI_PACKAGES := xvfb xauth libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 \
	libfontconfig1 libglib2.0-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
	libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick installed docs dist lint audit format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile

demo: $(STAMP) ## Install, then partition the picture that ships with the package
	$(BIN)/napari-safire demo

test: $(STAMP) ## Install, system packages for GUI tests included, then run all tests (PYTEST_ARGS=…)
	@.ci/system-packages $(GUI_PACKAGES)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

test-quick: $(STAMP) ## The tests of everything below the viewer (PYTEST_ARGS=…)
	@.ci/system-packages $(GUI_PACKAGES)
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit $(PYTEST_ARGS)

installed: $(STAMP) ## Build the wheel, install it beside napari as a user does, click, remove it
	@.ci/system-packages $(GUI_PACKAGES)
	.ci/installed

docs: $(STAMP) ## Build the site of the documentation into build/docs
	PIP_CONSTRAINT=$(CONSTRAINTS) $(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

dist: $(STAMP) ## Build wheel and source archive into dist, and read them as an index does
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/twine check --strict dist/*

lint: $(STAMP) ## ruff, mypy, the import rule and the scan for dangerous calls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/dangerous_calls.py
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP) ## Known faults of the installed packages, where the index of advisories can be reached
	@.ci/audit $(BIN)/python

format: $(STAMP) ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what was built; the environment is checked again at the next make
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(STAMP)
	find src tests training benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that was moved here, lost its Python or is too old is made anew. The constraints go
# by the environment, not by -c, so that they hold for the build back end too.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "napari-safire needs Python 3.11 or later: make PYTHON=/path/to/python")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/system-packages python3-venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& $(BIN)/pip --version 2>/dev/null | grep -qF '$(CURDIR)/$(VENV)/' \
		|| $(PYTHON) -m venv --clear $(VENV)
	PIP_CONSTRAINT=$(CONSTRAINTS) $(BIN)/python -m pip install --quiet --editable '.[dev,train]'
	@touch $@
