# charnn: `make demo` shows what it does, `make test` whether it does it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all fuzz lint bench lessons man clean

demo: .venv/installed
	$(BIN)/charnn demo

test: lint
	$(BIN)/python -m pytest

test-all: lint
	$(BIN)/python -m pytest -m "slow or not slow"

fuzz: .venv/installed
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/test_fuzz.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/installed
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

lessons: .venv/installed
	for file in $$(grep -l __main__ benchmarks/lessons/*.py); do \
		$(BIN)/python -m benchmarks.lessons.$$(basename $$file .py) || exit 1; \
	done

# What is made of the command line's own help: the manual pages, and what tests hold it to.
man: .venv/installed
	$(BIN)/python -m charnn.cli.manual man
	$(BIN)/python tests/helping.py tests/golden/help

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
