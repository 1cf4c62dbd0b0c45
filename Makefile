# Works on a bare Debian 12 as root, with nothing but what apt-get and pip give. `make` alone shows what there is.

PYTHON ?= python3
COVERAGE_MIN ?= 92
PYTEST_ARGS ?=

BIN := .venv/bin
STAMP := .venv/.stamp
BENCH := build/bench
APT := DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends
LOCK := build/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# Not in the tree's top, where any other `pytest --cov` would mix its data with this run's.
export COVERAGE_FILE := $(CURDIR)/build/coverage
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help demo demo-down test explore check bench fmt schema lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## a registry over HTTPS on this machine: a real ACME order, a push, a pull, its status
	@$(BIN)/python -m tests.rig.demo up

demo-down: $(STAMP) ## take away everything that the demo made
	@$(BIN)/python -m tests.rig.demo down

test: check ## check, then the unit tests and those with a real engine, registry and CA, and their coverage
	@mkdir -p build
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python tools/branch_coverage.py $(COVERAGE_MIN) regdeploy/deployment regdeploy/tls

explore: $(STAMP) ## the unit tests' properties with new random examples, more of them
	REGDEPLOY_PROPERTIES=explore $(BIN)/pytest tests/unit $(PYTEST_ARGS)

check: $(STAMP) ## lint, format, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(STAMP) ## format, and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) $(BENCH)/.stamp ## how long a registry, a command and a certificate take, beside certbot, lego and caddy
	@# As a user has it: not editable, compiled, without what only the tests need.
	env -u PYTHONDONTWRITEBYTECODE $(BENCH)/bin/pip install -qq --no-deps --force-reinstall .
	$(BIN)/python -m tests.bench.up $(CURDIR)/$(BENCH)/bin
	$(BIN)/python -m tests.bench.cli $(CURDIR)/$(BENCH)/bin
	$(BIN)/python -m tests.bench.acme $(CURDIR)/$(BENCH)/bin
	$(BIN)/python -m tests.bench.acme $(CURDIR)/$(BENCH)/bin --grow
	$(BIN)/python -m tests.bench.replace $(CURDIR)/$(BENCH)/bin
	$(BIN)/python -m tests.bench.migrate $(CURDIR)/$(BENCH)/bin

schema: $(STAMP) ## write templates/regdeploy.schema.json anew, from the settings' table
	$(BIN)/regdeploy init --schema > build-schema.tmp && mv build-schema.tmp templates/regdeploy.schema.json

lock: ## pin every dependency again, with hashes (constraints.txt)
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet pip-tools
	$(LOCK) --upgrade --extra dev --output-file constraints.txt pyproject.toml
	$(LOCK) --upgrade --output-file tests/bench/constraints.txt tests/bench/requirements.in pyproject.toml
	sed -i '1i # Every dependency with its hashes, for pip install --require-hashes; `make lock` makes this anew.' \
	  constraints.txt tests/bench/constraints.txt

clean: ## remove what make made in this folder
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("regdeploy needs Python 3.11: make PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get -q update && $(APT) python3-venv; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install -qq --no-deps --require-hashes -r constraints.txt
	$(BIN)/pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(BENCH)/.stamp: tests/bench/constraints.txt
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/pip install -qq --no-deps --require-hashes -r tests/bench/constraints.txt
	@touch $@
