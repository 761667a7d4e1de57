#!/bin/sh
# Makes an image with the worker and the libraries it is linked to, and nothing else: worker-image.sh PROGRAM REFERENCE
#
# For tests: it takes this machine's libraries, so that nothing has to be fetched. It keeps no shell and no users.
set -eu
program=$1 reference=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/local/bin" "$root/tmp" "$root/etc"
strip -o "$root/usr/local/bin/safeurl" "$program"
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
tar -C "$root" -c . |
    docker import --change 'ENTRYPOINT ["/usr/local/bin/safeurl"]' --change 'CMD ["worker"]' - "$reference" >/dev/null
