# `make demo` and `make test` do all of their own set-up: a Python 3.11 or newer (PYTHON=...) is all they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format bench clean

demo: $(VENV)/.demo
	$(BIN)/bitwright demo

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Quiet machine, three quarters of an hour: docs/performance.md says what each measures.
bench: $(VENV)/.stamp
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.latency --threads 2
	$(BIN)/python -m bench.latency --cap avx512vnni
	$(BIN)/python -m bench.latency --cap avx2
	$(BIN)/python -m bench.load
	$(BIN)/python -m bench.ort_latency
	$(BIN)/python -m bench.process --networks mobilenetv2 resnet50
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.mutations --count 20000

# The demonstration needs the package alone; tests and measurements need everything.
$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,bench]"
	@touch $@ $(VENV)/.demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) bench/out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
