#!/bin/sh
# Makes an image of programs of this machine with the libraries they are linked to, and nothing else:
#     packed-image.sh REFERENCE COMMAND PROGRAM=PATH-INSIDE...        COMMAND as in a Dockerfile
#
# For tests: it stands in for an image of that name without anything being fetched. It keeps no shell and no users.
set -eu
reference=$1 command=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/etc/ssl/certs" "$root/data" "$root/var/lib/sqld"
mkdir -m 1777 "$root/tmp"
# Programs look for them when they start, also those that never use them.
if [ -r /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; fi
for pair in "$@"; do
    program=${pair%%=*}
    inside=$root${pair#*=}
    mkdir -p "$(dirname "$inside")"
    strip -o "$inside" "$program" 2>/dev/null || cp -L "$program" "$inside"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
done
tar -C "$root" -c . |
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change "$command" - "$reference" >/dev/null
