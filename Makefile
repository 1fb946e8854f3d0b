# Everything a person or the gate does with the project. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MEDIA := build/media
export SQLX_OFFLINE := true

.PHONY: help demo demo-reset test test-all bench lint sqlx openapi packages build media clean

help: ## What there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: packages build media ## Build, start everything, do the main job; ONCE=1 stops after the last step
	@target/debug/helix-demo $(if $(ONCE),--once) $(if $(DATA),--data $(DATA))

demo-reset: ## Forget the demo's data
	@rm -rf demo-data && echo "The demo's data is gone; the next 'make demo' starts anew."

test: packages media ## All tests
	@cargo build --locked --workspace --all-targets
	@tests/with-postgres.sh tests/run.sh

test-all: ## All tests, with the slow and the foreign ones in full
	@HELIX_TEST_ALL=1 $(MAKE) --no-print-directory test

bench: packages build media ## Measure: enrol and inspect, power-on to agent
	@target/debug/helix-demo bench

lint: ## Formatting and clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

sqlx: packages ## Bring .sqlx up to date with the SQL in the sources
	@tests/check-sqlx.sh --write

openapi: ## Bring the committed OpenAPI document up to date
	@cargo run --locked --quiet -p helix-controller --bin helixd -- openapi > controller/api/openapi.json

packages:
	@tests/packages.sh

build:
	@cargo build --locked --workspace --bins

# Deploy medium, agent for old C libraries, and the OS image; each is cached by the hash of what goes in.
media: packages
	@agent/build.sh
	@agent/ramdisk/build.sh --agent build/agent/helix-agent --out $(MEDIA)
	@tests/images/build.sh --out $(MEDIA)

clean: ## Remove what was built
	rm -rf target build
