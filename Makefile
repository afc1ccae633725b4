# Everything a newcomer needs. `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo dev test check format bench growth parallel transforms backfill hostile idle live scale chaos fuzz simulate helm audit docker lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything pinned (pip alone is enough)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	  "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: set PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (about a minute the first time) ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(INSTALLED)

demo: $(INSTALLED) ## Run the main job on an embedded Postgres, a CRM sandbox and Dagster (ONCE=1: check everything and exit)
	@$(BIN)/sync-pipelines demo $(if $(ONCE),--once) $(if $(RECORDS),--records $(RECORDS))

dev: $(INSTALLED) ## Dagster with an embedded Postgres, for your own configuration in syncs/
	@$(BIN)/sync-pipelines dev

test: $(INSTALLED) ## Run the test suite, real Postgres included
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not chaos and not docker"

chaos: $(INSTALLED) ## Kill processes, crash Postgres, fill the disk under the running product; it must end right each time
	@$(BIN)/python -m pytest -m chaos

fuzz: $(INSTALLED) ## Calls that nobody would write, made of the API's own description (REQUESTS=10000, SEED=)
	@FUZZ_REQUESTS=$(or $(REQUESTS),10000) FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -s sync_pipelines_tests/api/test_description.py

simulate: $(INSTALLED) ## Random lives of a customer's object, each decided by its seed (SEEDS=, FIRST=, or SEED= for one; SHAPED=yes)
	@$(BIN)/python -m sync_pipelines_tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(FIRST),--first $(FIRST)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SHAPED),--shaped)

check: $(INSTALLED) ## Lint, format, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(INSTALLED) ## Ours, the peers and the limit on the same records (SIZE=, PEERS=, VENDORS=, ROUNDS=, PEER_SIZE=, POSTGRES_BIN=)
	@$(BIN)/python -m benchmarks $(if $(SIZE),--size $(SIZE)) $(if $(PEER_SIZE),--peer-size $(PEER_SIZE)) \
	  $(if $(filter-out undefined,$(origin PEERS)),--peers "$(PEERS)") $(if $(VENDORS),--vendors "$(VENDORS)") \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

growth: $(INSTALLED) ## What a record costs when its table holds 10 thousand to 10 million rows (MOST=)
	@$(BIN)/python -m benchmarks.growth $(if $(MOST),--most $(MOST)) $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

parallel: $(INSTALLED) ## Many accounts side by side: speed-up, memory, fairness and the vendor's limits, under 3 minutes
	@$(BIN)/python -m benchmarks.side_by_side $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

transforms: $(INSTALLED) ## A first load with twelve transforms beside one without them, a million records (RECORDS=, ROUNDS=)
	@$(BIN)/python -m benchmarks.transforms $(if $(RECORDS),--records $(RECORDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

backfill: $(INSTALLED) ## What a changed mapping costs for each stored row, one column and twelve (RECORDS=, ROUNDS=)
	@$(BIN)/python -m benchmarks.backfill $(if $(RECORDS),--records $(RECORDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

hostile: $(INSTALLED) ## How long each of hundreds of hostile expressions and templates takes, under a minute
	@$(BIN)/python -m benchmarks.hostile

scale: $(INSTALLED) ## 10,000 connections of six objects for an hour, Dagster and all: lateness, CPU, memory (CONNECTIONS=, MINUTES=)
	@$(BIN)/python -m benchmarks.scale $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(EVERY),--every $(EVERY))

idle: $(INSTALLED) ## What an attempt costs that finds nothing changed, over thousands of them, about 2 minutes
	@$(BIN)/python -m benchmarks.idle $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

live: $(INSTALLED) ## How long a change at the vendor takes to the row, 20 changes a second for a minute
	@$(BIN)/python -m benchmarks.live $(if $(SECONDS_LONG),--seconds $(SECONDS_LONG)) $(if $(POSTGRES_BIN),--postgres-bin "$(POSTGRES_BIN)")

helm: ## Render Dagster's Helm chart with deploy/helm/values.yaml and check every manifest (CHART= the unpacked chart)
	@test -x deploy/helm/.venv/bin/kubernetes-validate || { $(PYTHON) -m venv deploy/helm/.venv && \
	  deploy/helm/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/helm/requirements.lock ; }
	@deploy/helm/.venv/bin/python deploy/helm/check.py "$(CHART)"

audit: ## Known vulnerabilities of everything pinned; those accepted for a while are in deploy/audit/accepted.toml
	@test -x deploy/audit/.venv/bin/pip-audit || { $(PYTHON) -m venv deploy/audit/.venv && \
	  deploy/audit/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r deploy/audit/requirements.lock || echo "WARNING: pip-audit could not be installed: NOTHING WAS AUDITED." ; }
	@test ! -x deploy/audit/.venv/bin/pip-audit || deploy/audit/.venv/bin/python deploy/audit/check.py

docker: $(INSTALLED) ## Build the image, bring the compose stack up and run a sync in it (where Docker can be started)
	@$(BIN)/python -m pytest -q -rs -m docker sync_pipelines_tests/deploy

COMPILE = UV_PYTHON_DOWNLOADS=never uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-strip-extras --no-header --quiet

lock: ## Pin the dependencies anew (needs uv)
	@$(COMPILE) pyproject.toml --group dev --upgrade -o requirements.lock
	@$(COMPILE) pyproject.toml --group image --extra celery --extra kubernetes --constraint requirements.lock \
	  --no-annotate --upgrade -o deploy/requirements.lock
	@$(COMPILE) deploy/helm/requirements.in --no-annotate --upgrade -o deploy/helm/requirements.lock
	@$(COMPILE) deploy/audit/requirements.in --no-annotate --upgrade -o deploy/audit/requirements.lock

clean: ## Remove the environment and the local state
	rm -rf $(VENV) .sync_pipelines test_artefacts benchmarks/.work .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
