#!/usr/bin/env bash
# Builds the worker for Linux on x86-64 and on ARM64, for glibc 2.17 and newer, as a release has them:
# starburst-worker-<version>-<architecture>.tar.gz with a checksum beside it. usage: build-workers.sh <folder> [architecture...]
# Needs Rust by rustup, python3, and the network for ziglang and cargo-zigbuild, which bring linker and C compiler.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- amd64 arm64
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"
target_dir=${CARGO_TARGET_DIR:-$PWD/target/workers}
tools=$target_dir/tools
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet ziglang==0.17.1 cargo-zigbuild==0.24.1
fi
# cargo-zigbuild finds zig through the python that it finds first.
export PATH="$tools/bin:$PATH"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

for architecture in "$@"; do
  case $architecture in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    *) echo "no such architecture: $architecture" >&2; exit 1 ;;
  esac
  rustup target list --installed | grep -qx "$target" || rustup target add "$target"
  cargo zigbuild --locked --release --target "$target.2.17" --target-dir "$target_dir" -p starburst-worker
  name=starburst-worker-$version-$architecture.tar.gz
  # The same worker makes the same archive.
  tar -C "$target_dir/$target/release" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=755 \
    -cf - starburst-worker | gzip -9n >"$folder/$name"
  (cd "$folder" && sha256sum "$name" >"$name.sha256")
  echo "$folder/$name"
done
