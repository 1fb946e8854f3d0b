#!/usr/bin/env bash
# Checks that the committed query data in .sqlx is what the SQL in the sources says; `--write` brings it up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${DATABASE_URL:-}" ] || exec tests/with-postgres.sh "$0" "$@"

socket=${DATABASE_URL##*host=}
for file in migrations/*.sql; do
    if [ "$socket" != "$DATABASE_URL" ]; then
        psql -h "$socket" -U helix helix -q -v ON_ERROR_STOP=1 -1 -f "$file"
    else
        psql "$DATABASE_URL" -q -v ON_ERROR_STOP=1 -1 -f "$file"
    fi
done
fresh=target/sqlx-fresh
rm -rf $fresh
mkdir -p $fresh
# The macros run when the crate is compiled: a touched source file makes cargo do that, in a target folder that shares the
# dependencies.
touch controller/src/lib.rs
SQLX_OFFLINE_DIR=$PWD/$fresh SQLX_OFFLINE=false cargo check --locked --quiet -p helix-controller --all-targets
touch controller/src/lib.rs
if [ "${1:-}" = --write ]; then
    rm -rf .sqlx
    cp -r $fresh .sqlx
    echo "$(find .sqlx -name '*.json' | wc -l) queries written to .sqlx"
elif ! diff -rq .sqlx $fresh; then
    echo "The committed query data in .sqlx does not fit the SQL in the sources: run 'make sqlx' and commit." >&2
    exit 1
fi
