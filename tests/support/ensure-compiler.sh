#!/bin/sh
# Makes sure that there is a C compiler: SQLite and the cryptography of TLS are partly C.
set -eu
if command -v cc >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "ensure-compiler: no C compiler: installing gcc" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends gcc libc6-dev >&2
    exit 0
fi
echo "ensure-compiler: error: there is no C compiler (cc)" >&2
echo "ensure-compiler: hint: Debian, Ubuntu: apt-get install gcc libc6-dev" >&2
exit 1
