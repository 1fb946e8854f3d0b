#!/usr/bin/env bash
# Builds helix-agent for glibc 2.28 (RHEL 8, Ubuntu 20.04 and later) into build/agent/helix-agent.
#
# A plain `cargo build` on Debian 12 needs glibc 2.34 at run time, so nodes with an older system could not start it. Zig carries
# the stubs of older glibc versions; `cargo zigbuild` makes cargo use it as linker and C compiler. A static binary is no way out:
# NVML is loaded at run time.
#
# Needs: the Rust toolchain, python3 with venv, and the package registries (PyPI for ziglang and cargo-zigbuild, on the first run).
# Touches nothing outside build/. Repeated runs with unchanged sources take seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

GLIBC=2.28
ZIGLANG=0.15.2
CARGO_ZIGBUILD=0.24.1
OUT=build/agent
VENV=build/zig-venv
export CARGO_TARGET_DIR="$PWD/build/agent-target"

TARGET="$(uname -m)-unknown-linux-gnu"

mkdir -p build
if ! "$VENV/bin/cargo-zigbuild" --version >/dev/null 2>&1; then
    echo "agent: installing ziglang $ZIGLANG and cargo-zigbuild $CARGO_ZIGBUILD into $VENV"
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check "ziglang==$ZIGLANG" "cargo-zigbuild==$CARGO_ZIGBUILD"
fi

# cargo-zigbuild looks for `python3 -m ziglang` on the path; the venv's python has it.
PATH="$PWD/$VENV/bin:$PATH" cargo zigbuild --release --locked -p helix-agent --target "$TARGET.$GLIBC"

mkdir -p "$OUT"
install -m 0755 "$CARGO_TARGET_DIR/$TARGET/release/helix-agent" "$OUT/helix-agent.new"
if command -v strip >/dev/null 2>&1; then
    strip --strip-debug "$OUT/helix-agent.new"
fi

# The promise of this script, checked each time: the highest GLIBC symbol version the binary asks for.
HIGHEST="$(python3 agent/dist/glibc_needed.py "$OUT/helix-agent.new")"
if [ "$(printf '%s\n%s\n' "$HIGHEST" "$GLIBC" | sort -V | tail -n 1)" != "$GLIBC" ]; then
    echo "agent: the binary needs glibc $HIGHEST, newer than $GLIBC; it is not installed into $OUT" >&2
    exit 1
fi
mv "$OUT/helix-agent.new" "$OUT/helix-agent"
(cd "$OUT" && sha256sum helix-agent > helix-agent.sha256)
echo "agent: $OUT/helix-agent, $(stat -c %s "$OUT/helix-agent") bytes, needs glibc $HIGHEST or later"
