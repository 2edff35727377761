# Two commands do all: `make demo` and `make test`. The second call installs nothing.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Elsewhere: TORCH_INDEX=https://download.pytorch.org/whl/cpu keeps CUDA out; GPU users leave it empty.
TORCH_INDEX ?=

.PHONY: demo serve test test-browser test-crash lint types docs docs-check smoke evidence benchmarks audit pins clean

demo: $(VENV)/.ready
	@env -u OVERPARAM_DATA OVERPARAM_OFFLINE=1 $(BIN)/overparam run data-diet
	@$(BIN)/overparam report data-diet --scale laptop

serve: $(VENV)/.ready-site
	@$(BIN)/overparam serve --local

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not crash and not browser"

test-browser: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser

test-crash: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 tests/crash

lint: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell src tests docs benchmarks README.md CHANGELOG.md
	$(BIN)/lint-imports

types: $(VENV)/.ready-dev
	$(BIN)/mypy

docs: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-check: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

smoke: $(VENV)/.ready
	$(BIN)/overparam run all --scale smoke

evidence: $(VENV)/.ready
	for slug in step-law matrix-sensing data-diet long-tail gradient-coherence hessian-spectrum generalization-bounds \
		robust-recovery generalization-dynamics random-features xor-grokking learning-to-relax attention-svm \
		universality-lens unsupervised-pretraining feature-learning hyperparameter-sample-complexity; do $(BIN)/overparam run $$slug --save evidence || exit 1; done

benchmarks: $(VENV)/.ready-dev .peers/.ready .peers-jax/.ready
	PYTHONPATH=.peers OVERPARAM_JAX=.peers-jax/bin/python $(BIN)/python benchmarks/run.py

.peers/.ready: benchmarks/peers.txt | $(VENV)/.ready-dev
	$(PIP) install --quiet --no-deps --target .peers --requirement benchmarks/peers.txt
	@touch $@

# neural-tangents asks for an older JAX than today's, so it gets an environment of its own.
.peers-jax/.ready: benchmarks/peers-jax.txt
	$(PYTHON) -m venv .peers-jax
	.peers-jax/bin/python -m pip --disable-pip-version-check install --quiet --requirement benchmarks/peers-jax.txt
	@touch $@

audit: $(VENV)/.ready-dev
	$(BIN)/pip-audit --requirement constraints.txt --no-deps

pins: $(VENV)/.ready-dev
	$(PIP) freeze --exclude-editable | sed 's/+cpu//' | grep -v '^overparam' > constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "overparam needs Python 3.11 or newer; $$($(PYTHON) --version) was found: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }

# Torch first and pinned: an unpinned one brings gigabytes of CUDA.
$(VENV)/.ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.ready-site: $(VENV)/.ready
	$(PIP) install --quiet --constraint constraints.txt --editable '.[site,postgres]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,cluster]'
	@touch $@

clean:
	rm -rf $(VENV) .peers .peers-jax site-build report .pytest_cache .mypy_cache .ruff_cache
