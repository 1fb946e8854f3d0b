#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL: `tests/with-postgres.sh COMMAND…`.
#
# The server runs as an ordinary user, with fsync off, in a folder of its own that is removed afterwards. The command finds it
# by DATABASE_URL. A DATABASE_URL that is set already is used as it is.
set -euo pipefail
[ -n "${DATABASE_URL:-}" ] && exec "$@"

bin=$(for dir in /usr/lib/postgresql/*/bin; do [ -x "$dir/initdb" ] && echo "$dir"; done | sort -V | tail -n 1)
if [ -z "$bin" ]; then
    echo "PostgreSQL's server programs are missing: tests/packages.sh installs them" >&2
    exit 1
fi
folder=$(mktemp -d /tmp/helix-pg.XXXXXX)
chmod 755 "$folder"
as_user=()
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id -u $user >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    as_user=(setpriv "--reuid=$user" "--regid=$(id -g $user)" --clear-groups)
fi
server=
leave() {
    status=$?
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit $status
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(cd "$folder" && "${as_user[@]}" "$bin/initdb" -D "$folder/data" -U helix --auth=trust -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log") ||
    { cat "$folder/initdb.log" >&2; exit 1; }
# Tests make a database each: many connections, no durability.
(cd "$folder" && exec "${as_user[@]}" "$bin/postgres" -D "$folder/data" -k "$folder" -h '' -c fsync=off -c synchronous_commit=off \
    -c full_page_writes=off -c max_connections=400 -c log_min_messages=fatal) >"$folder/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    "$bin/pg_isready" -q -h "$folder" -U helix && break
    kill -0 $server 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
"$bin/createdb" -h "$folder" -U helix helix
export DATABASE_URL="postgres://helix@localhost/helix?host=$folder"
"$@"
