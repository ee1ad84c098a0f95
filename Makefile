PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test check bench clean

# Both servers with the embedded models; Ctrl-C stops them.
run: $(VENV)/.embedded
	$(BIN)/voice-stack up

# The whole suite; the JavaScript SDK's part of it needs node.
test: $(VENV)/.dev tests/js/node_modules
	$(BIN)/python -m pytest -q

# The static half of the gate.
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=src:tests $(BIN)/mypy src
	$(BIN)/lint-imports

# Ratios against the bare libraries, one table and JSON.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

tests/js/node_modules: tests/js/package.json
	npm install --prefix tests/js --no-package-lock --no-audit --no-fund
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.embedded: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.embedded

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
