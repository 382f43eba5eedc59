PYTHON ?= python3
BIN := .venv/bin

.PHONY: run up test test-fast test-loaded check style types contracts build bench bench-corpus bench-search bench-ann bench-xmr bench-xmr-growth bench-autocomplete bench-kg bench-kg-growth bench-metric bench-nas bench-ops bench-serve runbook soak clean

run: build  ## the main job on the built-in sample, to a published index and a report
	@$(BIN)/fingerpost run nightly --profile quick

up: build  ## Prefect's server and worker and Dask on this machine, until Ctrl-C
	@$(BIN)/fingerpost up

# pytest keeps the bytecode of the tests, also where containers forbid it: else each of its processes compiles them anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

# Three processes even on two cores: many tests wait for processes that they started.
test: check  ## all checks and tests
	@$(PYTEST) -n 3 --dist loadscope --no-loadscope-reorder

test-fast: check  ## all checks, and the tests without stacks, clusters and killed processes: for every commit
	@$(PYTEST) -n 2 --dist loadscope --no-loadscope-reorder -m "not stack and not prefect and not slow"

test-loaded: build  ## the tests with processes of their own, 20 times beside three busy processes (hours); RUNS=1 for fewer
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m tests.faults.loaded --runs $(or $(RUNS),20)

check: build  ## format, lint, types, import contracts
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target style types contracts

style:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types:
	@$(BIN)/mypy

contracts:
	@$(BIN)/lint-imports

build:  ## the virtual environment and the extensions
	@$(PYTHON) infra/setup_environment.py

bench: bench-corpus bench-search bench-ann bench-xmr bench-autocomplete bench-kg bench-metric bench-nas bench-ops  ## all benchmarks beside their peers (long)

bench-corpus: build
	@$(BIN)/python -m tests.bench.bench_corpus

bench-search: build  ## what queries find on judged collections and the built-in sample, and how fast
	@$(BIN)/python -m tests.bench.bench_search

bench-ann: build
	@$(BIN)/python -m tests.bench.bench_ann

bench-xmr: build
	@$(BIN)/python -m tests.bench.bench_xmr

bench-xmr-growth: build  ## ranking as the labels grow to a million (up to 6 GB)
	@$(BIN)/python -m tests.bench.bench_xmr_growth

bench-autocomplete: build
	@$(BIN)/python -m tests.bench.bench_autocomplete
	@$(BIN)/python -m tests.bench.bench_autocomplete_growth

bench-kg: build
	@$(BIN)/python -m tests.bench.bench_kg
	@$(BIN)/python -m tests.bench.bench_kg_matching
	@$(BIN)/python -m tests.bench.bench_kg_blocking
	@$(BIN)/python -m tests.bench.bench_kg_model

bench-kg-growth: build  ## alignment as both graphs grow to a million entities (up to 8 GB)
	@$(BIN)/python -m tests.bench.bench_kg_growth

bench-metric: build
	@$(BIN)/python -m tests.bench.bench_metric
	@$(BIN)/python -m tests.bench.bench_metric_training

bench-nas: build  ## searches of architectures: up to 3 hours on two cores
	@$(BIN)/python -m tests.bench.bench_nas_cells
	@$(BIN)/python -m tests.bench.bench_nas_zero_shot
	@$(BIN)/python -m tests.bench.bench_nas_latency
	@$(BIN)/python -m tests.bench.bench_nas_supernet
	@$(BIN)/python -m tests.bench.bench_nas
	@$(BIN)/python -m tests.bench.bench_nas_advice

bench-ops: build
	@$(BIN)/python -m tests.bench.bench_ops
	@FINGERPOST_STORE=$${FINGERPOST_STORE:-.fingerpost} $(BIN)/python -m tests.bench.cold_commands

bench-serve: build  ## the service beside plain handlers; STORE holds two versions of an index
	@$(BIN)/python -m tests.bench.serving --store $(or $(STORE),.fingerpost)

soak: build  ## a worker or the run itself killed in every stage, 100 seeded times (long); SEEDS=10 for fewer
	@$(BIN)/python -m tests.faults.soak --seeds $(or $(SEEDS),100)

runbook: build  ## the commands of infra/RUNBOOK.md, tried one by one against real processes
	@$(BIN)/python -m tests.bench.runbook

clean:  ## everything that make made, but not the store
	rm -rf .venv .venv.lock build dist *.egg-info src/*.egg-info ext/*.so ext/*.cpp bench-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
