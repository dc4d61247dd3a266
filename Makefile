# Two commands do everything on a machine that has only Python 3.11, 3.12 or 3.13, git and make: `make demo` and `make test`.
# Another Python: make demo PYTHON=python3.12          The CPU-only torch: make demo TORCH=cpu
# More words for a command: make test ARGS="-k rle"    make demo ARGS="-num_epochs 2"

VENV ?= .venv
ARGS ?=
# The first Python on the PATH that the project runs on.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)

BIN := $(VENV)/bin
# Tests of one module stay in one process, since they share what is slow to make. A process that dies ends the run with the
# name of its test: with another in its place pytest-xdist waits for ever.
ALL_CORES := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
INSTALLED := $(VENV)/.installed
# Build of torch that uv is to take (cpu, cu126, ... or auto); empty: the exact versions of requirements.lock. The one that
# is installed stays until another is named.
THERE := $(shell cat $(INSTALLED) 2>/dev/null)
TORCH ?= $(THERE)
# --python: without it uv installs into whatever environment the user's shell has activated. --compile-bytecode: here once,
# on all cores, instead of in the first processes that import torch, each for itself.
UV_INSTALL := $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode

# Where this is set, as in many containers, every process compiles torch and all else anew.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: another-torch help install demo serve test test-all lint types format pictures lock clean distclean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

install: $(INSTALLED)  ## .venv with everything in it (the others do this first)

demo: $(INSTALLED)  ## synthetic strips, a short training, overlays and a score, in minutes
	@$(BIN)/python Demo.py $(ARGS)

serve: $(INSTALLED)  ## the inspector at http://127.0.0.1:7860: a page and an HTTP API (another folder of weights: ARGS="-weights_dir runs/first")
	@$(BIN)/python Serve.py $(ARGS)

test: $(INSTALLED)  ## the tests that take minutes
	@$(BIN)/python -m pytest $(ALL_CORES) $(ARGS)

test-all: $(INSTALLED)  ## every test, the slow ones too, with coverage
	@$(BIN)/python -m pytest -m "" $(ALL_CORES) --cov --cov-report=term:skip-covered $(ARGS)

lint: $(INSTALLED)  ## style and format, nothing is changed
	@$(BIN)/ruff check --output-format concise .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)  ## type checker on config.py and utils/
	@$(BIN)/mypy

format: $(INSTALLED)  ## put the code into the format that lint wants
	@$(BIN)/ruff check --fix --output-format concise .
	@$(BIN)/ruff format .

pictures: $(INSTALLED)  ## images/: the documents' pictures (learning curves of a run too: ARGS="-run RUN")
	@$(BIN)/python images/draw.py $(ARGS)

lock: $(BIN)/uv  ## requirements.lock from requirements.txt (newest versions: ARGS=--upgrade)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" --output-file requirements.lock $(ARGS) requirements.txt

clean:  ## remove the demo and all caches; runs/, data/ and .venv stay
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove .venv too
	rm -rf $(VENV)

$(INSTALLED): requirements.lock requirements.txt $(BIN)/uv $(if $(filter-out x$(THERE),x$(TORCH)),another-torch)
ifeq ($(TORCH),)
	$(UV_INSTALL) --requirements requirements.lock
else
	$(UV_INSTALL) --torch-backend $(TORCH) --requirements requirements.txt --constraints requirements.lock
endif
	@echo "$(TORCH)" > $@

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 on the PATH; install one, or name it: make ... PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one that is: make ... PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
