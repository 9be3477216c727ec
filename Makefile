# Every verb does its own set-up: a fresh machine needs Python 3.11 or later and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNS ?= runs/demo
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check doctest lint format types docs benchmark trust build clean

help: ## Show the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with the pinned versions and this project in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## Drawn radiographs by the detector that ships, the paper's preset and a better one (about 3 minutes)
	$(BIN)/pneumo-ad evaluate data=phantom subset=test output=$(RUNS)/detector
	$(BIN)/pneumo-ad train experiment=demo_paper hydra.run.dir=$(RUNS)/paper
	$(BIN)/pneumo-ad train experiment=demo_denoiser hydra.run.dir=$(RUNS)/denoiser
	$(BIN)/python experiments/demo/compare.py $(RUNS)/detector $(RUNS)/paper $(RUNS)/denoiser

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

check: lint types doctest ## Run ruff, mypy and the examples in docstrings

lint: $(STAMP) ## Run ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Run mypy
	$(BIN)/mypy

doctest: $(STAMP) ## Run the examples in docstrings
	$(BIN)/python -m pytest -q --doctest-modules pneumo_ad

docs: $(STAMP) ## Build the pages and the Python API as a site, docs/_build/html/index.html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -c docs . docs/_build/html

benchmark: $(STAMP) ## Print this project beside MONAI, anomalib and its own bare parts, as ratios (half an hour)
	$(BIN)/python experiments/performance/benchmark.py

trust: $(STAMP) ## Kill commands at random, run two at once and again with the same seed: is anything lost (90 minutes)
	$(BIN)/python experiments/trust/trust.py

build: $(STAMP) ## Build the wheel and the source archive
	$(BIN)/python -m build

clean: ## Delete .venv and what was built; runs and stores stay
	rm -rf $(VENV) docs/_build docs/api build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
