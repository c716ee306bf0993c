# make demo     train, evaluate and classify in miniature (VIDEO=path adds one of yours, OUTPUT=folder keeps it elsewhere)
# make test     run the tests
# make quality  check format and lint;  make style  fix them
# Each creates the environment in $(VENV) first; VENV=folder uses another one.

PYTHON ?= python3.11
VENV ?= .venv
VIDEO ?=
OUTPUT ?= demo

INSTALLED := $(VENV)/.modeling_dist
RUN := $(VENV)/bin/python

.PHONY: demo test quality style

demo: $(INSTALLED)
	$(VENV)/bin/modeling-dist demo --output "$(OUTPUT)" $(if $(VIDEO),--video "$(VIDEO)")

test: $(INSTALLED)
	$(RUN) -m pytest

quality: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

style: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

$(INSTALLED): pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade "pip>=24"
	$(RUN) -m pip install --quiet --editable ".[test,quality]"
	touch $@
