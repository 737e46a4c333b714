#!/usr/bin/env bash
# Everything CI runs, from nothing: checks of the code, Rust tests, and R CMD check with all R tests on
# this system's R and on a current R. Ends with a line `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PATH:$HOME/.cargo/bin"
work=$PWD/target/test
logs=$work/logs
mkdir -p "$logs"
passed=0 failed=0

note() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# Runs one step; its output is shown when it fails.
step() {
  local name=$1 log
  shift
  log=$logs/${name// /-}.log
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    note "ok      $name"
  else
    failed=$((failed + 1))
    note "FAILED  $name"
    tail -n 60 "$log" | sed 's/^/    /'
  fi
}

# Adds the tests that a step counted: cargo's lines, and testthat's.
count() {
  local log=$logs/${1// /-}.log numbers
  while read -r ok bad; do
    passed=$((passed + ok)) failed=$((failed + bad))
  done < <(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$log")
  numbers=$(sed -nE 's/^\[ FAIL ([0-9]+) \| WARN [0-9]+ \| SKIP [0-9]+ \| PASS ([0-9]+) \]$/\2 \1/p' "$log" | tail -n 1)
  if [ -n "$numbers" ]; then
    read -r ok bad <<<"$numbers"
    passed=$((passed + ok)) failed=$((failed + bad))
  fi
}

note "setting up"
bash tools/setup.sh test || { echo "0 passed, 1 failed"; exit 1; }
if [ "$(id -u)" = 0 ]; then
  bash tools/current-r.sh make "$work/current-r" >"$logs/current-r-make.log" 2>&1 &
  making=$!
fi
python3 -m venv "$work/python" >/dev/null 2>&1 &&
  "$work/python/bin/pip" install -q air-formatter==0.12.0 jarl-linter==0.7.1 >/dev/null 2>&1
export PATH="$PATH:$work/python/bin"

step "rustfmt" cargo fmt --all --check
step "air" air format --check R tests inst tools
step "jarl" jarl check R
step "short files" bash tools/short-files.sh
step "licences" python3 tools/licences.py
step "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
step "layers" bash tools/layers.sh
step "cargo test" cargo test --workspace --locked
count "cargo test"

note "building the source package"
git archive --format=tar --prefix=starburst/ HEAD | tar -C "$work" -xf - &&
  (cd "$work" && R CMD build --no-build-vignettes starburst >"$logs/build.log" 2>&1) && rm -rf "$work/starburst"
tarball=$(ls -t "$work"/starburst_*.tar.gz | head -n 1)

# One vector over 2^31 bytes needs about 12 GB, counted here.
if [ "$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)" -ge 14 ]; then
  export STARBURST_LARGE=yes
fi
step "R CMD check, this system's R" bash tools/check.sh "$tarball"
count "R CMD check, this system's R"
step "generated files" bash tools/generated.sh "$work/starburst.Rcheck"

if [ -n "${making:-}" ] && wait "$making"; then
  mkdir -p "$work/current-r/root/check"
  cp "$tarball" tools/check.sh "$work/current-r/root/check/"
  step "R CMD check, current R" \
    bash tools/current-r.sh run "$work/current-r" bash "/check/check.sh" "/check/$(basename "$tarball")"
  count "R CMD check, current R"
elif [ -n "${making:-}" ]; then
  failed=$((failed + 1))
  note "FAILED  making the root filesystem with a current R"
  tail -n 20 "$logs/current-r-make.log"
else
  note "skipped R CMD check, current R: making its root filesystem needs root"
fi

note "done"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
