#!/bin/sh
# Makes sure that target/python has html5lib, the HTML parser that ours is compared with, and prints its interpreter.
# From the package index into the build folder: nothing of it is left after cargo clean.
set -eu
home=$1
version=1.1
python=$home/bin/python

has_html5lib() { "$python" -c "import html5lib; assert html5lib.__version__ == '$version'" 2>/dev/null; }

install() {
    echo "ensure-html5lib: installing python3 with venv" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends python3 python3-venv >&2
}

if ! has_html5lib; then
    if ! python3 -m venv --clear "$home" >/dev/null 2>&1; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
            echo "ensure-html5lib: error: python3 -m venv does not work" >&2
            echo "ensure-html5lib: hint: Debian, Ubuntu: apt-get install python3-venv" >&2
            exit 1
        fi
        install
        python3 -m venv --clear "$home" >&2
    fi
    "$python" -m pip install --quiet --disable-pip-version-check "html5lib==$version" >&2
fi
echo "$python"
