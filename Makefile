# From a ratings file to production: 'make train export batch', then 'make test'.
# Every target makes what it needs first, and does nothing twice.

DATASET ?= ml-100k
MODEL   ?= neumf-pre
K       ?= 10
SERVER  ?= asgi
PYTHON  ?= python3
FUZZ_SECONDS ?= 600

VENV       := .venv
NCF        := $(VENV)/bin/ncf
SETUP      := $(VENV)/.complete
# The direct pins, and the lock of all that the tests ran with; 'rm constraints.lock' to renew it.
PINS       := constraints.txt $(wildcard constraints.lock)
PINNED     := $(PINS:%=-c %)
# Schedulers and clusters have environments of their own: their pins and ours need not fit together.
WANTED_ray     := $(PINNED) -e '.[ray]' 'ray[default]'
WANTED_spark   := $(PINNED) -e '.[spark]'
WANTED_airflow := apache-airflow==3.3.2
ENGINES        := $(patsubst %,.engines/%/.complete,ray spark airflow)
PREPARED   := data/$(DATASET)/data.json
# Beside the checkpoint, and touched only when training ended: an interrupted one leaves a
# checkpoint too.
CHECKPOINT := checkpoints/.$(MODEL).done
BUNDLE     := model_store/ncf/bundle.json
TABLE      := topk/LATEST
CHOICE     := .make/choice
TOP        := .make/k

.DEFAULT_GOAL := help
# Threads that wait sleep: two test processes share the cores, and would spin on each other's.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup data train export batch serve test test-all engines soak lock schema docs gallery lint fuzz mutate bench scoreboard cuda cuda-kit clean FORCE

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
	@echo
	@echo 'Variables: DATASET=$(DATASET) MODEL=$(MODEL) K=$(K) FUZZ_SECONDS=$(FUZZ_SECONDS) PYTHON=$(PYTHON)'

setup: $(SETUP) ## Create .venv with the pinned dependencies
data: $(PREPARED) ## Fetch and prepare DATASET
train: $(CHECKPOINT) ## Train MODEL; an interrupted training goes on
export: $(BUNDLE) ## Export the checkpoint to model_store/ncf
batch: $(TABLE) ## Write every user's top K to topk/

$(SETUP): pyproject.toml $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or later is needed: make PYTHON=python3.11 ...' >&2; exit 2; }
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) -e '.[all,dev,docs]'
	@touch $@

$(PREPARED): | $(SETUP)
	$(NCF) data prepare --dataset $(DATASET) --split leave-one-out --out data/$(DATASET)

$(CHECKPOINT): $(PREPARED) $(CHOICE) $(if $(wildcard checkpoints/$(MODEL)/config.json),,FORCE)
	$(NCF) train --data data/$(DATASET) --model $(MODEL) --out checkpoints/$(MODEL) --resume
	@touch $@

$(BUNDLE): $(CHECKPOINT) $(CHOICE)
	$(NCF) export --checkpoint checkpoints/$(MODEL) --data data/$(DATASET) --out model_store

$(TABLE): $(BUNDLE) $(TOP)
	$(NCF) batch --bundle model_store/ncf --out topk -k $(K)

# Files that change when a variable does, so that what depends on it is made again.
$(CHOICE): FORCE
	@mkdir -p $(@D); echo '$(DATASET) $(MODEL)' | cmp -s - $@ || echo '$(DATASET) $(MODEL)' > $@
$(TOP): FORCE
	@mkdir -p $(@D); echo '$(K)' | cmp -s - $@ || echo '$(K)' > $@

serve: $(BUNDLE) ## Serve model_store/ncf on 127.0.0.1:8080, until Ctrl-C; SERVER=torchserve
	$(NCF) serve --model-store model_store --server $(SERVER)

lint: $(SETUP) ## ruff, mypy and the import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

test: lint ## Lint, type-check, test
	$(VENV)/bin/pytest -n auto --dist loadgroup -m 'not slow'

test-all: $(SETUP) .engines/ray/.complete ## The slow tests that 'make test' leaves out: the wheel in empty environments, Ray
	$(VENV)/bin/pytest -m slow

engines: $(SETUP) $(ENGINES) ## Run batches on Ray, Spark and Airflow, each in an environment of its own
	NCF_ENGINES=1 $(VENV)/bin/pytest tests/engines

.engines/%/.complete: pyproject.toml $(PINS)
	@rm -f $@
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(WANTED_$*)
	@touch $@

soak: $(SETUP) ## Load the server for NCF_SOAK_SECONDS (600) with reloads and killed workers
	NCF_SOAK_SECONDS=$${NCF_SOAK_SECONDS:-600} $(VENV)/bin/pytest -s -m slow tests/serving/test_soak.py

lock: $(SETUP) ## Write constraints.lock and requirements-cpu.txt from what .venv holds
	$(VENV)/bin/python -m tests.packaging.requirements

schema: $(SETUP) ## Write docs/bundle.schema.json from the type of bundle.json
	$(VENV)/bin/python -m export.bundle_schema

docs: $(SETUP) ## Build the documentation site in .site/html
	$(VENV)/bin/python -m tests.docs.site

gallery: $(SETUP) ## Make the pictures of docs/gallery.md; a few minutes
	$(VENV)/bin/python -m tests.docs.gallery

fuzz: $(SETUP) ## Fuzz each reader for FUZZ_SECONDS; finds go to .fuzz/
	@for target in ratings triple request bundle; do \
	  $(VENV)/bin/python -m tests.fuzz.fuzz $$target --seconds $(FUZZ_SECONDS) --new .fuzz/$$target || exit 1; \
	done

mutate: $(SETUP) ## Mutate scoring, publishing, splits, metrics; count what no test notices
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PINNED) -e '.[mutate]'
	$(VENV)/bin/mutmut run
	$(VENV)/bin/mutmut results

bench: $(SETUP) ## Measure against the tutorial's loops
	$(VENV)/bin/python -m benchmarks.batch

scoreboard: $(SETUP) ## Train networks and simple models on public data, and write docs/scoreboard.md
	$(VENV)/bin/python -m benchmarks.scoreboard

cuda: $(SETUP) ## Prove the GPU's part in ten minutes; figures go to cuda-results/
	$(VENV)/bin/python -m benchmarks.cuda

cuda-kit: $(SETUP) ## Pack the same for a machine with PyTorch and NumPy alone
	$(VENV)/bin/python -m benchmarks.gpu.kit

clean: ## Remove .venv and everything that was made, but not fetched data
	rm -rf $(VENV) .engines .make .scoreboard .site .serve .fuzz .audit mutants worlds cuda-results cuda-kit.zip checkpoints topk model_store/ncf *.egg-info
	find data -mindepth 1 -maxdepth 1 ! -name raw -exec rm -rf {} + 2>/dev/null || true
