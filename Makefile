# `make demo` and `make test` do all of their own set-up: a Python 3.11 or newer (PYTHON=...) is all they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

JOBS := $(shell nproc 2>/dev/null || echo 2)
SOURCES := pyproject.toml CMakeLists.txt $(wildcard csrc/*/*)

.PHONY: demo test engine-tests sanitize lint format bench clean

demo: $(VENV)/.demo
	$(BIN)/bitwright demo

test: lint engine-tests
	$(BIN)/python -m pytest

# The C++ tests: every kernel that this machine can run, against its reference.
engine-tests: $(VENV)/.stamp
	@mkdir -p build
	$(BIN)/cmake -S . -B build/tests -DBITWRIGHT_PYTHON=OFF -DBITWRIGHT_TESTS=ON > build/tests.log
	$(BIN)/cmake --build build/tests --parallel $(JOBS) >> build/tests.log
	build/tests/engine_tests

# The same under the address and undefined behaviour sanitizers, and under the thread sanitizer.
sanitize: $(VENV)/.stamp
	for sanitizer in address,undefined thread; do \
	  $(BIN)/cmake -S . -B build/$$sanitizer -DBITWRIGHT_PYTHON=OFF -DBITWRIGHT_TESTS=ON -DBITWRIGHT_SANITIZE=$$sanitizer && \
	  $(BIN)/cmake --build build/$$sanitizer --parallel $(JOBS) && build/$$sanitizer/engine_tests || exit 1; \
	done

lint: $(VENV)/.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Quiet machine, three quarters of an hour: docs/performance.md says what each measures.
bench: $(VENV)/.peers
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
$(VENV)/.demo: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.stamp: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,bench]"
	@touch $@ $(VENV)/.demo

$(VENV)/.peers: $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,bench,peers]"
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) bench/out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
