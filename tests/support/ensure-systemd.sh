#!/bin/sh
# Makes sure that systemd's programs are there, for the tests of config/deploy: on Debian or Ubuntu, as root, the package
# is installed. Nothing is started by that, and the init of this machine stays what it is.
set -eu
if command -v systemd-analyze >/dev/null 2>&1 && [ -x /lib/systemd/systemd ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "ensure-systemd: error: no systemd-analyze here" >&2
    echo "ensure-systemd: hint: install the package systemd, or run this as root on Debian or Ubuntu" >&2
    exit 1
fi
echo "ensure-systemd: installing systemd" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
apt-get install -y -qq --no-install-recommends systemd >&2
