#!/bin/sh
# Makes sure that there are a Redis server and the official BullMQ clients that tests/interop speaks to, in their exact
# versions: ensure-interop.sh FOLDER. The clients come from their package indexes into that folder and go with it.
set -eu
home=$1
# With the connection library that each of them is installed with: 5.x brings its own, 6.x leaves the choice.
node5="bullmq@5.81.5"
node6="bullmq@6.7.0 ioredis@6.0.0"
python=3.4.4

say() { echo "ensure-interop: $*" >&2; }

packages=
command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
# The oldest line that the newest client still supports.
if ! node -e 'process.exit(+process.versions.node.split(".")[0] >= 18 ? 0 : 1)' 2>/dev/null; then packages="$packages nodejs"; fi
command -v npm >/dev/null 2>&1 || packages="$packages npm"
# The module is there without its pip where Debian's python3-venv is missing.
python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3-venv"
if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "error: missing:$packages"
        say "hint: Debian, Ubuntu: apt-get install$packages"
        exit 1
    fi
    say "installing$packages"
    # The package starts a server of its own where a service manager lets it; the tests bring theirs and need none.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && trap 'rm -f "$policy"' EXIT; }
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $packages >&2
fi

# What was installed is written down last, so that a folder that was left half done is made again.
install_node() {
    folder=$home/$1
    [ "$(cat "$folder/installed" 2>/dev/null)" != "$2" ] || return 0
    say "installing $2 for Node into $folder"
    rm -rf "${folder:?}"
    mkdir -p "$folder"
    echo '{ "private": true }' >"$folder/package.json"
    # Nothing of theirs is run while they are installed.
    # shellcheck disable=SC2086
    npm install --silent --ignore-scripts --no-audit --no-fund --save-exact --prefix "$folder" $2 >&2
    echo "$2" >"$folder/installed"
}

has_python() { [ -x "$home/python/bin/python" ] && ls -d "$home"/python/lib/python3*/site-packages/bullmq-"$python".dist-info >/dev/null 2>&1; }

install_node node5 "$node5"
install_node node6 "$node6"
if ! has_python; then
    say "installing bullmq $python for Python into $home/python"
    python3 -m venv --clear "$home/python" >&2
    "$home/python/bin/python" -m pip install --quiet --disable-pip-version-check "bullmq==$python" >&2
fi
