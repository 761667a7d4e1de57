#!/bin/sh
# Prints what the tests over third-party data agreed with: a row a collection, from the rows the tests left.
set -eu
folder=$1
awk -F '\t' '
    BEGIN { printf "%-32s %8s %8s %10s  %s\n", "collection", "passed", "expected", "deviations", "reasons" }
    { printf "%-32s %8d %8d %10d  %s\n", $1, $2, $3, $4, $5; passed += $2; expected += $3; deviations += $4 }
    END { printf "%-32s %8d %8d %10d\n", "all", passed, expected, deviations }
' "$folder"/*.tsv
