#!/bin/sh
# Makes sure that these cargo commands are there: ensure-tools.sh nextest deny audit
set -eu
for tool in "$@"; do
    if ! cargo "$tool" --version >/dev/null 2>&1; then
        echo "ensure-tools: installing cargo-$tool" >&2
        cargo install --locked "cargo-$tool" >&2
    fi
done
