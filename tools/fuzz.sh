#!/usr/bin/env bash
# Builds all fuzz targets and runs each for so many seconds, with the stable compiler and without cargo-fuzz.
# usage: fuzz.sh [seconds] [target ...]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}
[ $# -gt 0 ] && shift
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg fuzzing $coverage -Zsanitizer=address -Ccodegen-units=1"
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
cargo build --release --target "$host"
built=${CARGO_TARGET_DIR:-target}/$host/release
[ $# -gt 0 ] || set -- $(basename -s .rs -a fuzz_targets/*.rs)
for target in "$@"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "$target"
  "$built/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -timeout=25 \
    -rss_limit_mb=2048 2>&1 | grep -E "DONE|SUMMARY|panicked" || exit 1
done
