#!/bin/sh
# Makes sure that there is what the usual worker in Node is made of, which tests/bench/rival.mjs is: ensure-rivals.sh FOLDER.
# In exact versions, from the package index into that folder; Redis and Node come from ensure-interop.sh.
set -eu
folder=$1
packages="bullmq@6.7.0 ioredis@6.0.0 dockerode@5.0.1"

[ "$(cat "$folder/installed" 2>/dev/null)" != "$packages" ] || exit 0
echo "ensure-rivals: installing $packages into $folder" >&2
rm -rf "${folder:?}"
mkdir -p "$folder"
echo '{ "private": true }' >"$folder/package.json"
# Nothing of theirs is run while they are installed.
# shellcheck disable=SC2086
npm install --silent --ignore-scripts --no-audit --no-fund --save-exact --prefix "$folder" $packages >&2
# Written down last, so that a folder that was left half done is made again.
echo "$packages" >"$folder/installed"
