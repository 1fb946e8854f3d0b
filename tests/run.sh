#!/usr/bin/env bash
# Runs every test of the workspace, by cargo-nextest when it is there: `tests/run.sh [FILTER…]`. Wants DATABASE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
cargo test --locked --workspace --doc --quiet --no-fail-fast >target/doc-tests.log 2>&1 || { cat target/doc-tests.log; exit 1; }
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast "$@"
else
    cargo test --locked --workspace --no-fail-fast --lib --bins --tests "$@"
fi
