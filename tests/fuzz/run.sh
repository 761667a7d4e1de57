#!/bin/sh
# Runs fuzz targets one after the other under cargo-fuzz: run.sh MINUTES [TARGET]..., by default ten minutes and all.
set -eu
cd "$(dirname "$0")/../.."
minutes=${1:-10}
[ $# -eq 0 ] || shift
case $minutes in
*[!0-9.]* | *.*.* | . | '')
    echo "error: '$minutes' is no number of minutes; hint: make fuzz MINUTES=2" >&2
    exit 2
    ;;
esac
seconds=$(awk "BEGIN { print int($minutes * 60 + 0.5) }")
[ $# -gt 0 ] || set -- $(ls tests/fuzz/seeds)
for target in "$@"; do
    if [ ! -d "tests/fuzz/seeds/$target" ]; then
        echo "error: there is no fuzz target '$target'; hint: one of" $(ls tests/fuzz/seeds) >&2
        exit 2
    fi
done
cargo +nightly fuzz build --fuzz-dir tests/fuzz --target-dir target/fuzz any
for target in "$@"; do
    mkdir -p "target/fuzz/corpus/$target" target/fuzz/findings
    echo "== $target for $seconds s"
    # The first folder takes what is learnt; the seeds are only read.
    FUZZ_TARGET=$target cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz any \
        "target/fuzz/corpus/$target" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="target/fuzz/findings/$target-"
done
