# What a person types: up, test, bench, sim, parity, fmt, tables, proto, clean. Needs python3 (3.11 or newer) with venv, and make.

PYTHON ?= python3
#: more arguments for `skep up`: make up ARGS="--nodes 5"
ARGS ?=
#: what runs a stage of `make test` under a limit of time; .ci/run sets it
LIMIT ?=
#: seeds of `make sim`, from:to
SEEDS ?= 0:100
#: processes for pytest and the simulation
JOBS ?= 2

#: tests that start daemons and wait for processes: a stage of their own
SLOW := tests/acceptance/ tests/cli/ tests/process/

#: tests that start Docker Engines, each of which takes all processors for a while: a stage of their own, one at a time
ENGINES := tests/engines/
#: those in which something goes wrong, or networks are made: a stage of their own
TROUBLE := $(foreach name,attachable certificates faults networks,$(ENGINES)test_$(name).py)

#: what `make bench` measures, in this order
BENCHMARKS ?= schedule converge memory idle append submit replay restart mesh

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

export PATH := $(CURDIR)/$(BIN):$(PATH)

# $(call stage,its name,its command): say what runs and how long it took; the first that fails ends the run
define stage
@printf '== %s\n' '$(1)'; start=$$(date +%s); $(LIMIT) $(2); code=$$?; \
 printf '== %s: %s, %s s\n' '$(1)' "$$([ $$code -eq 0 ] && echo ok || echo FAILED)" "$$(($$(date +%s) - start))"; \
 exit $$code
endef

.PHONY: up test bench sim fmt tables parity proto clean

up: $(VENV)/installed
	@exec $(BIN)/skep up --data ./data $(ARGS)

test: $(VENV)/installed-test
	$(call stage,tools,sh tests/install-tools $(BIN))
	$(call stage,ruff check,ruff check --quiet)
	$(call stage,ruff format,ruff format --check --quiet)
	$(call stage,mypy,mypy)
	$(call stage,import-linter,lint-imports)
	$(call stage,tests,pytest -n $(JOBS) -q -r fEs $(filter-out $(SLOW) $(ENGINES),$(wildcard tests/*/)))
	$(call stage,simulation,$(BIN)/python -m skep.testing.simulation --seeds 0:1000 --processes $(JOBS))
	$(call stage,tests with daemons,pytest -n $(JOBS) -q -r fEs $(SLOW))
	$(call stage,tests with engines,pytest -q -r fEs $(filter-out $(TROUBLE),$(wildcard $(ENGINES)test_*.py)))
	$(call stage,tests with engines in trouble,pytest -q -r fEs $(TROUBLE))
	$(call stage,parity 1 of 3,$(BIN)/python -m tests.parity --part 1/3 --jobs $(JOBS))
	$(call stage,parity 2 of 3,$(BIN)/python -m tests.parity --part 2/3 --jobs $(JOBS))
	$(call stage,parity 3 of 3,$(BIN)/python -m tests.parity --part 3/3 --jobs $(JOBS))

# the figures, as tables, as JSON in benchmarks/results, and as a picture
bench: $(VENV)/installed-bench
	@set -e; for each in $(BENCHMARKS); do echo "== $$each"; \
	  $(BIN)/python "benchmarks/$$each.py" --save "benchmarks/results/$$each.json"; done
	@$(BIN)/python benchmarks/chart.py benchmarks/results docs/numbers.svg

sim: $(VENV)/installed-test
	@$(BIN)/python -m skep.testing.simulation --seeds $(SEEDS) --processes $(JOBS)

fmt: $(VENV)/installed-test
	@ruff format --quiet
	@ruff check --quiet --fix

# the tables of docs/vocabulary.md
tables: $(VENV)/installed-test
	@$(BIN)/python docs/generate.py

# the recorded scenarios against skep: make parity NAMES="01 30", PEER=1 for a real swarm beside it, KEEP=folder,
# PAGE=1 to write docs/compatibility.md anew
parity: $(VENV)/installed-test
	@$(BIN)/python -m tests.parity $(NAMES) $(if $(PEER),--peer) $(if $(KEEP),--keep $(KEEP)) \
	  $(if $(PAGE),--page docs/compatibility.md) --jobs $(JOBS)

# SwarmKit's messages and stubs, from the .proto files
proto: $(VENV)/installed-test
	@$(BIN)/python tests/swarmkit/generate_wire.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find engine adapters tests benchmarks docs -name __pycache__ -type d -exec rm -rf {} +

# pip is the last thing that `python3 -m venv` makes, so a half-made .venv is made again
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "skep needs Python 3.11 or newer as $(PYTHON) (set PYTHON=... to another one)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/pip
	@echo "installing skep into $(VENV)"
	@$(PIP) install -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/pip
	@echo "installing skep and what its tests need into $(VENV)"
	@$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml | $(BIN)/pip
	@echo "installing skep and what its benchmarks need into $(VENV)"
	@$(PIP) install -e '.[bench]'
	@touch $@
