# Every target sets up what it needs: Python 3.11 to 3.13 and make are enough.
# `make help` lists the targets.

VENV   ?= .venv
# The first Python that runs, can make environments, and is of a version this project runs on.
USABLE  = import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c '$(USABLE)' 2>/dev/null && echo $$name && break; done)
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready
MODEL   = models/demo
COHORT  = data/synthetic/cohort.csv

.DEFAULT_GOAL := help
.PHONY: help demo serve test check lint types layers generated generate bench bench-scale bench-serving bench-quality ui lock clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c '$(USABLE)' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 with venv is needed; name one: make PYTHON=python3.12 demo"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## Train on the simulated cohort, record the run, explain one patient's risk.
	$(BIN)/spinecast train $(COHORT) --experiment experiments/001-evidence.toml --out $(MODEL) --replace
	$(BIN)/spinecast score data/example_patient.json --model $(MODEL)
	@echo; echo "The report of this training: experiments/reports/demo/report.html"

serve: $(READY)  ## Open the surgeon's screen on the demo's model, at http://127.0.0.1:8000.
	$(BIN)/spinecast serve --model $(MODEL)

test: $(READY)  ## Run the tests.
	$(BIN)/pytest -n auto

check: lint types layers generated test  ## Everything that must hold before a change lands.

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

generated: $(READY)  ## Check that generated files are what their commands write.
	$(BIN)/python -m spinecast.generated --check

generate: $(READY)  ## Write the generated files of data/ anew.
	$(BIN)/python -m spinecast.generated

bench: $(READY)  ## Measure speed and memory against peers, in one run.
	$(BIN)/python benchmarks/speed.py

bench-scale: $(READY)  ## Measure cohorts of a million rows: time, memory, growth (25 minutes).
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/scale.py

bench-serving: $(READY)  ## Measure the screen's interface beside MLflow's server (four minutes).
	$(BIN)/python benchmarks/serving.py

bench-quality: $(READY)  ## Measure risks against the true ones of simulated cohorts, validation and updates (75 minutes).
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/quality.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/updating.py

ui: $(READY)  ## Open MLflow on the recorded runs, at http://127.0.0.1:5000.
	PATH="$(CURDIR)/$(BIN):$$PATH" MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		mlflow ui --backend-store-uri sqlite:///experiments/mlflow.db --host 127.0.0.1 --port 5000 --workers 1

lock: $(READY)  ## Resolve the dependencies anew, with hashes.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --quiet --upgrade \
		--python-version 3.11 --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --quiet \
		--python-version 3.11 --extra build -c requirements.lock pyproject.toml -o requirements-scoring.lock

clean:  ## Remove what was set up and cached; models and runs stay.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
