# Everything a newcomer types. Each target installs what it needs into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint format clean

setup: $(STAMP)  ## a virtual environment with both plugins and the tools of their tests

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

demo: setup  ## the main job, end to end: API, backfill, changes, second run, events
	$(BIN)/python examples/subscriptions/demo.py

# Tests start the programs a thousand times: compiled once, also where the environment says to write no bytecode.
.PHONY: compiled
compiled: setup
	$(BIN)/python -m compileall -q tap_restextract target_eventgen tests proofs examples

WORKERS ?= 2
test: compiled  ## every test, in WORKERS processes side by side
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: test-in-process
test-in-process: compiled  ## the tests that start no program and no server but their own: two minutes
	$(BIN)/python -m pytest -m in_process --numprocesses $(WORKERS) --dist worksteal

.PHONY: scoreboard
scoreboard: setup  ## docs/scoreboard.md: other tools and ours against APIs with odd habits; takes a quarter of an hour
	nice -n 10 $(BIN)/python -m proofs.scoreboard --write docs/scoreboard.md

.PHONY: simulate mutants

simulate: N ?= 10000
simulate: CHANGES ?= 2
simulate: setup  ## N schedules of the tap's walks against an API with every quirk, from SEED= on, ONLY= some cases; LIES=1: facts that are false (MARKDOWN=docs/wrong-facts.md); EXHAUSTIVE=1: all of up to CHANGES changes
	$(BIN)/python -m proofs.simulate $(N) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)") \
		$(if $(LIES),--lies) $(if $(EXHAUSTIVE),--exhaustive --changes $(CHANGES)) $(if $(MARKDOWN),--markdown > $(MARKDOWN))

mutants: setup  ## deliberate faults in the walks, each of which the simulator must find
	$(BIN)/python -m proofs.mutants.walks

.PHONY: real-apis backfill

SEEDS ?= 10
real-apis: setup  ## Kinto and Datasette while they change, the tap killed and resumed, SEEDS times each; half a minute a seed
	$(BIN)/python -m proofs.real_apis $(SEEDS)

backfill: setup  ## a million records of which fifty thousand share each timestamp: memory, STATE, requests
	$(BIN)/python -m proofs.backfill

.PHONY: crash histories
crash histories: N ?= 500
crash: setup  ## faults at every failpoint of the target, N cases: what was lost, told twice, wrong; then faults put into its code
	$(BIN)/python -m proofs.crash $(N)
	$(BIN)/python -m proofs.mutants.target

.PHONY: relay-benchmark relay-mutants
relay-benchmark: N ?= 1000000
relay-benchmark: setup  ## N events in backlog, drained into a file by one relay: events a second, memory, a plain loop beside it
	$(BIN)/python benchmarks/relay.py $(N)

relay-mutants: setup  ## deliberate faults in the relay, each of which its tests must find
	$(BIN)/python -m proofs.mutants.relay

histories: MESSAGES ?= 5
histories: setup  ## N generated histories against the target's reference model, such as N=20000; EXHAUSTIVE=1: every one of up to MESSAGES messages of a key; UNDO=1: of runs that are undone
	$(BIN)/python -m proofs.histories$(if $(UNDO),.undoing) $(N) $(if $(EXHAUSTIVE),--exhaustive $(MESSAGES))

.PHONY: deliver
deliver: N ?= 5000
deliver: setup  ## N events to every receiver while relays, brokers and connections are killed, held and slow; ONLY= some receivers
	$(BIN)/python -m proofs.deliver $(N) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: webhooks
webhooks: N ?= 2000
webhooks: setup  ## N notifications out of order, doubled, some never sent, while receivers and queue are killed; QUEUE=redis|nats|kafka, SEED=
	$(BIN)/python -m proofs.webhooks $(N) $(if $(QUEUE),--queue $(QUEUE)) $(if $(SEED),--seed $(SEED))

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## all that the other targets made; an embedded Postgres is stopped first
	-test -x $(BIN)/target-eventgen && $(BIN)/target-eventgen db remove --yes
	rm -rf $(VENV) .venv-* .cache .eventgen .meltano .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: bench bench-quick
bench: setup  ## docs/benchmarks.md: ours, other tools and the floors, in turn, on this machine; forty minutes
	$(BIN)/python -m benchmarks --write docs/benchmarks.md

bench-quick: setup  ## the same with fewer records and rounds; under five minutes
	$(BIN)/python -m benchmarks --quick
