# Everything runs in .venv, which the first use makes; all that the machine needs to bring is Python 3.10 or newer.
# The stamps in .venv say what is installed there: a change of pyproject.toml installs again.

PYTHON ?= python3
VENV := .venv
IN := $(VENV)/bin/python
# Other people's clients, for make peers: what they need is no concern of ours.
PEERS := .peers
PIP := $(IN) -m pip install -qq --disable-pip-version-check --no-input
# A process for each core; one that has nothing left to do takes over what another one would still do.
PYTEST := $(IN) -m pytest -q -n auto --dist worksteal
STEP := @printf '%-16s'

# coverage's own floor counts lines as well.
define BRANCHES
import json, sys
covered = json.load(open(".coverage.json"))["totals"]["percent_branches_covered"]
print(f"{covered:.1f} % of the branches of smallest_proto are covered; the floor is 95 %")
sys.exit(covered < 95)
endef
export BRANCHES

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check bench streams plugin cuts peers soak mutants taken-back picture docs site style types imports

help: ## what can be made
	@echo 'Usage: make TARGET'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: PYTHON=python3.12 makes .venv with that Python; ARGS="--fast" goes to the demo, the tests or the benchmark.'

demo: $(VENV)/.demo ## human speech becomes text, live, over real sockets, with no key
	@$(VENV)/bin/smallest-proto demo $(ARGS)

test: $(VENV)/.develop style types ## style, types, and all tests with the floor of branch coverage
	@$(PYTEST) tests/core --cov --cov-report=term --cov-report=json:.coverage.json $(ARGS)
	@$(IN) -c "$$BRANCHES"
	@$(PYTEST) tests --ignore tests/core $(ARGS)

check: $(VENV)/.develop style types imports ## style, types and the import rule: quick

bench: $(VENV)/.develop ## what the core and speech cost, beside baselines of the same run
	@$(IN) tests/benchmarks/core.py $(ARGS)
	@$(IN) tests/benchmarks/long_call.py $(ARGS)
	@$(IN) tests/benchmarks/speech.py $(ARGS)

streams: $(VENV)/.develop ## what 100 live streams cost over each transport, beside bare loops: a quarter of an hour
	@$(IN) tests/benchmarks/streams.py $(ARGS)

plugin: $(VENV)/.develop $(PEERS)/.made ## the LiveKit plugin beside the published one: words lost under faults, and the cost; that of other clients
	@$(IN) tests/benchmarks/livekit_faults.py $(ARGS)
	@$(IN) tests/benchmarks/livekit_speed.py $(ARGS)
	@$(IN) tests/benchmarks/others.py --python $(PEERS)/bin/python $(ARGS)

cuts: $(VENV)/.develop ## a human's words when the link breaks at each half second, beside the published plugin: a quarter of an hour
	@$(IN) tests/benchmarks/speech_cuts.py $(ARGS)

peers: $(VENV)/.develop $(PEERS)/.made ## other people's clients, unmodified, against the local server: some two minutes
	@$(IN) tests/peers/run.py --python $(PEERS)/bin/python $(ARGS)

soak: $(VENV)/.develop ## 10,000 calls over a bad network in virtual time, every word counted; the long form of the conformance tests
	@$(IN) tests/soak/calls.py --seeds 10000 $(ARGS)
	@SOAK=1 $(PYTEST) tests/core tests/conformance $(ARGS)

mutants: $(VENV)/.develop ## change one thing in the code at a time, and see a test fail: long, and it goes on where it stopped
	@$(PIP) --group mutants
	@$(IN) tests/mutants/run.py $(ARGS)

picture: $(VENV)/.demo ## draw the still of the demo with three faults anew, in real time
	@$(VENV)/bin/smallest-proto demo --fault drop@6 --fault refuse:503 --fault close:1011@12 --picture docs/call.svg

taken-back: $(VENV)/.develop ## take back one mend at a time, and see the kit find the fault: some minutes at most
	@$(IN) tests/mutants/taken_back.py $(ARGS)

docs: $(VENV)/.develop ## draw the state machines anew from their tables
	@$(IN) docs/make_diagrams.py

site: $(VENV)/.develop ## build the documentation into build/site, strictly
	@NO_MKDOCS_2_WARNING=1 $(IN) -m mkdocs build --strict $(ARGS)

style: $(VENV)/.develop
	$(STEP) 'ruff check' && $(IN) -m ruff check
	$(STEP) 'ruff format' && $(IN) -m ruff format --check

types: $(VENV)/.develop
	$(STEP) 'mypy --strict' && $(IN) -m mypy

imports: $(VENV)/.develop
	$(STEP) 'imports' && $(IN) -m pytest -q tests/test_imports.py

# One folder for all: what the tests need holds what the demo needs.
$(VENV)/.demo: pyproject.toml $(VENV)/.made
	@echo 'Installing what the demo needs (once) ...'
	@$(PIP) -e '.[cli]'
	@touch $@

$(VENV)/.develop: pyproject.toml $(VENV)/.made
	@echo 'Installing what the tests need (once) ...'
	@$(PIP) -e '.[all]' --group test --group lint --group docs
	@touch $(VENV)/.demo $@

# pip knows dependency groups since 25.1, and the one that comes with a Python can be older.
$(VENV)/.made:
	@command -v '$(PYTHON)' >/dev/null || \
		{ echo 'There is no $(PYTHON): install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is $$('$(PYTHON)' -V 2>&1). Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@echo 'Making $(VENV) with $(PYTHON) (once) ...'
	@'$(PYTHON)' -m venv $(VENV) || \
		{ echo '$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(PIP) --upgrade 'pip>=25.1'
	@touch $@

$(PEERS)/.made: $(VENV)/.made
	@echo 'Making $(PEERS) (once); the clients are installed there, some 800 MB ...'
	@$(IN) -m venv $(PEERS)
	@touch $@
