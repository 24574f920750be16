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

SHARED ?= ../shared/data
DEMO := build/recipes
WEIGHTS := $(if $(wildcard $(SHARED)/weights),$(SHARED)/weights,none)

# The longest first, so that no processor is idle at the end.
SHOWN := $(if $(filter-out none,$(WEIGHTS)),show-iucn11) show-iucn11-published show-iucn11-trio \
    show-rare-families show-rare-binary show-vgg16-small show-three-animals

TRAIN = $(DEV)/$(BIN)/python -m training
DEMONSTRATED = --small --recipe training/recipes/$(1).toml --data $(DEMO)/data/$(2) \
    --weights $(WEIGHTS) --out $(DEMO)/$(1)

define recipe
$(TRAIN) all $(DEMONSTRATED)
$(DEV)/$(BIN)/python -m trapsort classify $(DEMO)/data/species11/Lion \
    --bundle $(DEMO)/$(1)/export/$(1)-0.1.0
endef

# Its members' weights are files, so there is no demonstration without them.
define ensemble
$(TRAIN) all $(DEMONSTRATED) --exports $(DEMO)/$(1)/export
$(DEV)/$(BIN)/python -m trapsort classify $(DEMO)/data/species11/Lion \
    --bundle $(DEMO)/$(1)/export/$(1)-0.1.0
endef

# Its convolutions in 8 bits, and what that changes.
define quantised
$(TRAIN) quantise $(DEMONSTRATED)
endef

SOURCES := $(shell find trapsort exports -type f -not -name '*.pyc' 2>/dev/null)
PACKAGING := setup.cfg pyproject.toml

.PHONY: watch card test check faults bench docs train recipes clean $(SHOWN)
.DEFAULT_GOAL := test

watch: card $(FIELD)/installed
	$(FIELD)/$(BIN)/trapsort watch "$(CARD)"

card:
	@test -n "$(CARD)" || { echo 'name the card: make watch CARD=/path/of/the/card' >&2; exit 2; }

test: check
	$(DEV)/$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

check: $(DEV)/installed
	$(DEV)/$(BIN)/ruff check
	$(DEV)/$(BIN)/ruff format --check
	$(DEV)/$(BIN)/mypy
	$(DEV)/$(BIN)/python docs/generate.py --check

docs: $(DEV)/installed
	$(DEV)/$(BIN)/python docs/generate.py

# Kills watch 200 times, then fails every sync, rename and write in turn: about half an hour.
faults: $(DEV)/installed
	$(DEV)/$(BIN)/python -m tests.faults $(FAULTS)

# About half an hour. The first line gives the figures of docs/performance.md; to write them there:
# make bench BENCH='--write docs/performance.md'
bench: $(DEV)/installed
	$(DEV)/$(BIN)/python -m bench $(BENCH)
	$(DEV)/$(BIN)/python -m bench web export record cluster

# The shipped bundle, whole: hours, and photographs below SHARED.
train: $(DEV)/installed
	$(TRAIN) all --recipe training/recipes/iucn11.toml --data $(SHARED)

# Every recipe, end to end on a few small photos, then what its bundle says of some; two at a time.
# SHARED's photos, or drawn ones where it is absent; see docs/howto/recipes.md.
recipes: $(DEV)/installed
	rm -rf $(DEMO)
	$(DEV)/$(BIN)/python -m training.small_data $(DEMO)/data --photos $(SHARED)
	$(MAKE) --jobs=2 --output-sync=target $(SHOWN)

show-iucn11:
	$(call ensemble,iucn11)

show-three-animals:
	$(call recipe,three-animals,three-animals)

show-rare-binary:
	$(call recipe,rare-binary,)

show-iucn11-published:
	$(call recipe,iucn11-published,)

show-iucn11-trio:
	$(call recipe,iucn11-trio,)

show-vgg16-small:
	$(call recipe,vgg16-small,)
	$(call quantised,vgg16-small,)

show-rare-families:
	$(call recipe,rare-families,rare-species)
	$(DEV)/$(BIN)/python -m trapsort classify $(DEMO)/data/species11/Lion \
	    --bundle $(DEMO)/rare-families/export/rare-families-0.1.0 --taxon phylum=Chordata

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
