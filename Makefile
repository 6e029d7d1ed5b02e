# make demo    the whole job on a small data set: data, frozen CLIP, DiST, training, multi-view test, report
# make test    ruff, mypy and pytest
# make slow    the tests that take minutes
# make speed   DiST beside a plain implementation: fails only on a ratio far outside its bounds
#
# All create .venv on the first call, and again when setup.py has changed. PYTHON chooses the interpreter:
#     make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := dev,tensorboard,export,remote,torchcodec
TEST_PROCESSES ?= auto

.PHONY: help demo test slow speed clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

demo: $(INSTALLED)
	$(BIN)/python runs/demo.py $(ARGS)

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow $(ARGS)

speed: $(INSTALLED)
	$(BIN)/python runs/benchmark.py model --quick --check $(ARGS)

# `make` compares times: the stamp is older than setup.py when the requirements may have changed.
$(INSTALLED): setup.py
	@if [ ! -x $(BIN)/python ]; then \
		if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
			echo "error: Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)" >&2; \
			for minor in 14 13 12 11 10; do \
				if python3.$$minor -c pass 2>/dev/null; then \
					echo "run: make $(MAKECMDGOALS) PYTHON=python3.$$minor" >&2; exit 1; \
				fi; \
			done; \
			echo "install one, then run: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; \
		fi; \
		echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); \
	fi
	@echo "installing the project and what it needs into $(VENV) (minutes, once)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
