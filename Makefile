# Two commands do everything: make smoke (the main job) and make test (all tests).
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: smoke test clients lint prove bench clean

smoke: $(READY)
	@$(VENV)/bin/qharness smoke

test: clients
	$(VENV)/bin/python -m pytest -n auto

# The real clients that tests drive, each in an environment of its own.
clients: $(READY)
	@VENV="$(VENV)" sh .ci/clients

lint: $(READY)
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports

# Slow proofs: every planted defect on five seeds, and the correct build on two hundred.
prove: $(READY)
	$(VENV)/bin/qharness prove --seeds 5 --plans-per-defect 500 --correct-seeds 200 --correct-plans 50

bench: $(READY)
	$(VENV)/bin/python -m tests.benchmarks plays
	$(VENV)/bin/python -m tests.benchmarks serving
	$(VENV)/bin/python -m tests.benchmarks wires
	$(VENV)/bin/python -m tests.benchmarks races

# Nothing is set up again while the lock is unchanged.
$(READY): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh .ci/setup

clean:
	rm -rf $(VENV) .clients
