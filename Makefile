PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check build bench bench-corpus bench-ann clean

run: build  ## the main job on the built-in sample, to a published index and a report
	@$(BIN)/fingerpost run nightly --profile quick

test: check  ## all checks and tests
	@$(BIN)/python -m pytest

check: build  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

build:  ## the virtual environment and the extensions
	@$(PYTHON) infra/setup_environment.py

bench: bench-corpus bench-ann  ## all benchmarks beside their peers (long)

bench-corpus: build
	@$(BIN)/python -m tests.bench.bench_corpus

bench-ann: build
	@$(BIN)/python -m tests.bench.bench_ann

clean:  ## everything that make made, but not the store
	rm -rf .venv .venv.lock build dist *.egg-info ext/*.so ext/*.cpp bench-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
