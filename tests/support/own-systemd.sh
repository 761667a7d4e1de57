#!/bin/sh
# Boots a systemd of its own beside this machine's init, with one unit: own-systemd.sh DIR PROGRAM UNIT
#
# It sees this machine's files through an overlay that is thrown away, has its own process table and its own branch of the
# control groups, and shares the network and the engine's socket. DIR gets the unit's log; the unit is DIR/UNIT, its settings
# DIR/worker.env, and DIR/run is where its sockets are, at the same path outside and inside, because the engine mounts
# them by it. Needs root. It ends, with everything in it, when this script's process is killed.
set -eu
dir=$1 program=$2 unit=$3

if [ "${4:-}" != inside ]; then
    groups=/sys/fs/cgroup
    [ -d $groups/systemd ] && groups=$groups/systemd
    mkdir "$groups/$(basename "$dir")"
    echo $$ >"$groups/$(basename "$dir")/cgroup.procs"
    exec setpriv --pdeathsig KILL unshare --fork --kill-child --pid --mount --ipc --uts --cgroup \
        --propagation private "$0" "$@" inside
fi

# The overlay's upper folder must not be on an overlay itself.
mkdir "$dir/layers"
mount -t tmpfs -o size=512m tmpfs "$dir/layers"
mkdir "$dir/layers/upper" "$dir/layers/work" "$dir/layers/root"
root=$dir/layers/root
mount -t overlay -o "lowerdir=/,upperdir=$dir/layers/upper,workdir=$dir/layers/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -d /sys/fs/cgroup/systemd ]; then
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
else
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
# The unit's folder below /run is this machine's, as the engine sees no other.
runtime=$(sed -n 's/^RuntimeDirectory=//p' "$dir/$unit")
mkdir -p "/run/$runtime"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/run/$runtime"
mount --bind "/run/$runtime" "$root/run/$runtime"
touch "$root/run/docker.sock"
mount --bind /run/docker.sock "$root/run/docker.sock"
mkdir "$root/mnt/own"
mount --bind "$dir" "$root/mnt/own"

# Nothing of this machine is started.
rm -rf "$root"/lib/systemd/system/*.wants "$root"/etc/systemd/system/*.wants "$root"/lib/systemd/system-generators/* \
    "$root"/lib/systemd/system/docker.* "$root"/etc/systemd/system/docker.*
rm -f "$root/etc/machine-id"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
# As the unit's head says.
install -m 755 "$program" "$root/usr/local/bin/safeurl"
chroot "$root" useradd --system --user-group --groups docker --home-dir /var/lib/safeurl --shell /usr/sbin/nologin safeurl
install -m 644 "$dir/$unit" "$root/etc/systemd/system/"
mkdir -p "$root/etc/safeurl" "$root/etc/systemd/system/$unit.d"
cp "$dir/worker.env" "$root/etc/safeurl/"
printf '[Service]\nStandardError=append:/mnt/own/worker.log\n' >"$root/etc/systemd/system/$unit.d/log.conf"
printf '[Unit]\nDefaultDependencies=no\nWants=%s\n' "$unit" >"$root/etc/systemd/system/own.target"
exec chroot "$root" /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=own.target --log-target=console
