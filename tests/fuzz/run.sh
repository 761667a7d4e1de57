#!/bin/sh
# Runs fuzz targets under cargo-fuzz, as many at once as there are processors (JOBS=n: as many as that):
# run.sh MINUTES [TARGET]..., by default ten minutes and all. What each said stays in target/fuzz/log.
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
jobs=${JOBS:-$(nproc)}
case $jobs in
*[!0-9]* | '' | 0*)
    echo "error: '$jobs' is no number of targets to run at once; hint: make fuzz JOBS=2" >&2
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
mkdir -p target/fuzz/findings target/fuzz/log
# A copy: the run takes hours, and whoever builds something meanwhile does not change what is under test.
cp --remove-destination "target/fuzz/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/any" target/fuzz/any

# One target: the first folder takes what is learnt, the seeds are only read.
export SECONDS_EACH="$seconds"
one='target=$1
    log=target/fuzz/log/$target
    mkdir -p "target/fuzz/corpus/$target"
    ended=0
    FUZZ_TARGET=$target target/fuzz/any \
        "target/fuzz/corpus/$target" "tests/fuzz/seeds/$target" \
        -max_total_time="$SECONDS_EACH" -max_len=16384 -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="target/fuzz/findings/$target-" >"$log" 2>&1 || ended=$?
    runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
    if [ "$ended" -eq 0 ]; then
        printf "%-18s %12s inputs in %s s, no finding\n" "$target" "${runs:-?}" "$SECONDS_EACH"
    else
        printf "%-18s ended with %s: see %s and target/fuzz/findings\n" "$target" "$ended" "$log"
        exit 1
    fi'
printf '%s\n' "$@" | xargs -n 1 -P "$jobs" sh -c "$one" one
