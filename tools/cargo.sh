#!/bin/sh
# Runs cargo for R's build, and says what to do when there is no cargo, or one that is too old.
# usage: cargo.sh <target directory> cargo build ...
# STARBURST_TARGET_DIR names a folder that several builds share, so that crates are compiled once; it is linked here.
set -eu
if [ -n "${STARBURST_TARGET_DIR:-}" ] && [ "$1" != - ]; then
  mkdir -p "$STARBURST_TARGET_DIR"
  rm -rf "$1"
  ln -s "$STARBURST_TARGET_DIR" "$1"
fi
shift
wanted=1.94.1
help() {
  echo "*** starburst needs Rust $wanted or newer to build; $1." >&2
  echo "*** Install or update it with this line, then try again:" >&2
  echo "***   curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y" >&2
  exit 1
}
command -v cargo >/dev/null 2>&1 || help "there is no cargo on the PATH"
found=$(rustc --version 2>/dev/null | cut -d' ' -f2 | cut -d- -f1)
oldest=$(printf '%s\n%s\n' "$wanted" "$found" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)
[ "$oldest" = "$wanted" ] || help "this is Rust $found"
exec "$@"
