#!/bin/sh
# Makes sure that these programs are there: ensure-programs.sh python3 strace mkfs.ext4 dockerd
set -eu

package_of() {
    case $1 in
    python3) echo python3 ;;
    strace) echo strace ;;
    mkfs.ext4) echo e2fsprogs ;;
    dockerd) echo docker.io ;;
    docker-compose) echo docker-compose ;;
    ip) echo iproute2 ;;
    unshare) echo util-linux ;;
    *)
        echo "ensure-programs: error: nobody has said which package has $1" >&2
        exit 2
        ;;
    esac
}

PATH=$PATH:/usr/sbin:/sbin
packages=
for program in "$@"; do
    package=$(package_of "$program")
    command -v "$program" >/dev/null 2>&1 || packages="$packages $package"
done
if [ -z "$packages" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "ensure-programs: error: missing:$packages" >&2
    echo "ensure-programs: hint: Debian, Ubuntu: apt-get install$packages" >&2
    exit 1
fi
echo "ensure-programs: installing$packages" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $packages >&2
