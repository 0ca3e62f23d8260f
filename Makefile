# make bench and make test set everything up by themselves, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5000
DEVICE ?= cpu
PIECE ?= 10
SIZES ?= 100,1000,10000
PERF = $(if $(QUICK),results/local/perf-$(DEVICE),results/perf-$(DEVICE))
PARTS ?=

.PHONY: help setup bench bench-article bench-cuda test test-fast test-browser test-cluster check format perf growth report ui screenshots clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(VENV)/.done  ## the virtual environment with sslbench and what it needs

$(VENV)/.done: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): torch is large, so the first time takes some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

bench: setup  ## compare four methods on seven small scenarios: 84 cells, minutes on two cores
	@$(BIN)/sslbench run benchmarks/quick.toml

bench-article: setup  ## the article on pseudo-labelling, figure by figure, on full MNIST: hours on two cores
	@$(BIN)/sslbench run benchmarks/article.toml --published baselines/published.toml

bench-cuda: setup  ## everything on full MNIST, ten seeds, on a GPU, in pieces of ten minutes that resume (PIECE=minutes)
	@until $(BIN)/sslbench run benchmarks/full.toml --device cuda --no-mlflow --stop-after $(PIECE) --published baselines/published.toml; \
		do test $$? -eq 3 || exit 1; done
	@echo "sslbench track results/local/full writes the records to MLflow."

test: setup  ## all tests
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser and not cluster"

test-fast: setup  ## all tests but the slow ones
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not browser and not cluster"

$(VENV)/.browser: $(VENV)/.done
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[browser]"
	@touch $@

$(VENV)/.cluster: $(VENV)/.done
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[ray]"
	@touch $@

test-cluster: $(VENV)/.cluster  ## Ray clusters on this machine, a node of which is killed: minutes
	@$(BIN)/python -m pytest -q tests/test_ray.py

test-browser: $(VENV)/.browser  ## the report and the MLflow UI in a headless Chromium, which must be on the path
	@$(BIN)/python -m pytest -q tests/browser

check: setup  ## ruff (lint and format) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup  ## let ruff mend and format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

perf: setup  ## speed and memory against plain loops: about two hours (PARTS=suite; DEVICE=cuda; QUICK=1 for a look at whether it works)
	@$(BIN)/python -m benchmarks.perf $(PERF) --device $(DEVICE) $(if $(QUICK),--quick) $(PARTS)

growth: setup  ## what a suite of 100, 1,000 and 10,000 cells costs: results/reliability (SIZES=100,1000)
	@$(BIN)/python -m benchmarks.growth --sizes $(SIZES)

report: setup  ## tables, plots and report.html of the last make bench, again
	@$(BIN)/sslbench report results/local/quick

ui: setup  ## the MLflow UI on all local runs (PORT=5000)
	@test -f results/local/mlflow.db || { echo "No runs yet: make bench first."; exit 2; }
	@echo "MLflow UI at http://127.0.0.1:$(PORT)/#/experiments?workflowType=machine_learning (Ctrl-C ends it)"
	@MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false PYTHONWARNINGS=ignore \
		$(BIN)/mlflow server --backend-store-uri "sqlite:///$(CURDIR)/results/local/mlflow.db" \
		--artifacts-destination "$(CURDIR)/results/local/mlartifacts" --host 127.0.0.1 --port $(PORT) --workers 1

screenshots: $(VENV)/.browser  ## the pictures of results/gallery, with a headless Chromium: minutes
	@$(BIN)/python -m tests.browser.gallery results/quick-cpu results/gallery

clean:  ## remove the environment and the caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
