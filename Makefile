# make demo     classify a video (VIDEO=path for one of yours)
# make test     run the tests
# make quality  check format and lint;  make style  mend them
# Each makes the environment in $(VENV) first; VENV=folder uses another one.

PYTHON ?= python3.11
VENV ?= .venv
VIDEO ?=

INSTALLED := $(VENV)/.modeling_dist
RUN := $(VENV)/bin/python

.PHONY: demo test quality style

demo: $(INSTALLED)
	$(RUN) examples/demo.py $(if $(VIDEO),--video "$(VIDEO)")

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
