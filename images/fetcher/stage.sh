#!/bin/sh
# Builds the static fetcher and stages it for `docker build images/fetcher` and for the worker that embeds it.
#
# This is the one recipe: every image and every embedded fetcher comes from here. It needs a Rust toolchain and
# a C compiler, no Docker. musl is taken where it is installed; else glibc is linked statically, which the
# fetcher can bear because it never asks the C library for a name.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
staged=$here/staged-by-make-image

host=$(rustc -vV | sed -n 's/^host: //p')
target=$host
musl=${host%%-*}-unknown-linux-musl
if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ] && command -v musl-gcc >/dev/null; then
    target=$musl
fi

# A folder of its own, so that these flags do not rebuild everybody else's work. With --target they reach
# neither build scripts nor macros. The paths of this machine stay out of the program.
build=$root/target/static
cargo=${CARGO_HOME:-$HOME/.cargo}
flags="-C target-feature=+crt-static --remap-path-prefix=$root=/safeurl --remap-path-prefix=$cargo=/cargo"
# Half a megabyte of names and tables nobody reads: symbols, unwinding (a panic ends the process), and relocations in
# their packed form (glibc 2.36, musl 1.2.4; both link them into the program itself).
flags="$flags -C strip=symbols -C force-unwind-tables=no -C link-arg=-Wl,-z,pack-relative-relocs"

# For size: everything as one unit, and a panic ends the process at once, which is all it could do anyway. Worth
# two megabytes of eight.
RUSTFLAGS=$flags CARGO_TARGET_DIR=$build \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_PROFILE_RELEASE_LTO=fat \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_PANIC=abort \
    cargo build --locked --release --manifest-path "$root/Cargo.toml" -p safeurl-fetcher --target "$target"

program=$build/$target/release/safeurl-fetcher
if LC_ALL=C readelf --program-headers "$program" | grep -q INTERP; then
    echo "stage.sh: $program is not static: it asks for a loader, which the image does not have" >&2
    exit 1
fi

protocol=$(sed -n 's/^pub const PROTOCOL: u32 = \([0-9]*\);$/\1/p' "$root/fetcher/protocol/src/lib.rs")
digest=$(sha256sum "$program" | cut -d' ' -f1)
if [ -z "$protocol" ] || [ -z "$digest" ]; then
    echo "stage.sh: no protocol number in fetcher/protocol/src/lib.rs, or no digest of $program" >&2
    exit 1
fi

renew() { if cmp -s "$1" "$2"; then rm "$1"; else mv "$1" "$2"; fi; }

mkdir -p "$staged"
# Written beside and renamed: who reads meanwhile sees the old or the new one. What is the same stays as it is, so
# that the worker which embeds it is not built again for nothing. Program and text fit each other
# again when the script ends.
install -m 0755 "$program" "$staged/.safeurl-fetcher.new"
renew "$staged/.safeurl-fetcher.new" "$staged/safeurl-fetcher"
sed -e "s/@PROTOCOL@/$protocol/" -e "s/@SHA256@/$digest/" "$here/Dockerfile.in" >"$staged/.Dockerfile.new"
renew "$staged/.Dockerfile.new" "$staged/Dockerfile"
echo "staged $staged/safeurl-fetcher ($(wc -c <"$staged/safeurl-fetcher") bytes, $target)" >&2
