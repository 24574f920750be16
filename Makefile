# make watch CARD=DIR   take in a card, then all that arrives
# make test             everything that decides whether a change may land
#
# Needs Python 3.11 or newer, with venv, and nothing else. What is installed is installed into
# .venv (the field tool) and .venv-dev (the tools of developers); a stamp in each remembers that.

PYTHON ?= python3
FIELD := .venv
DEV := .venv-dev
ifeq ($(OS),Windows_NT)
BIN := Scripts
else
BIN := bin
endif

SOURCES := $(shell find trapsort exports -type f -not -name '*.pyc' 2>/dev/null)
PACKAGING := setup.cfg pyproject.toml

.PHONY: watch card test check bench docs clean
.DEFAULT_GOAL := test

watch: card $(FIELD)/installed
	$(FIELD)/$(BIN)/trapsort watch "$(CARD)"

card:
	@test -n "$(CARD)" || { echo 'name the card: make watch CARD=/path/of/the/card' >&2; exit 2; }

test: check
	$(DEV)/$(BIN)/python -m pytest

check: $(DEV)/installed
	$(DEV)/$(BIN)/ruff check
	$(DEV)/$(BIN)/ruff format --check
	$(DEV)/$(BIN)/mypy
	$(DEV)/$(BIN)/python docs/generate.py --check

docs: $(DEV)/installed
	$(DEV)/$(BIN)/python docs/generate.py

bench: $(DEV)/installed
	$(DEV)/$(BIN)/python -m bench

clean:
	rm -rf $(FIELD) $(DEV) build/lib build/bdist.* dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

$(FIELD)/installed: $(SOURCES) $(PACKAGING) | $(FIELD)/pyvenv.cfg
	rm -rf build/lib build/bdist.*  # setuptools would pack what an older version left there
	$(FIELD)/$(BIN)/python -m pip install --quiet .
	@touch $@

# Editable, so that a change needs no new installation.
$(DEV)/installed: $(PACKAGING) | $(DEV)/pyvenv.cfg
	$(DEV)/$(BIN)/python -m pip install --quiet --editable '.[dev,train]'
	@touch $@

%/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("trapsort needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(@D)
