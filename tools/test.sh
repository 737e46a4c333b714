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
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -E)
if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
  "${as_root[@]}" bash tools/current-r.sh make "$work/current-r" >"$logs/current-r-make.log" 2>&1 &
  making=$!
fi
python3 -m venv "$work/python" >/dev/null 2>&1 &&
  "$work/python/bin/pip" install -q air-formatter==0.12.0 jarl-linter==0.7.1 'moto[server]==5.2.1' cfn-lint==1.58.0 >/dev/null 2>&1
# One set of features for every build: with another one the AWS SDK would be compiled again.
features=(--features starburst-testkit/aws)
export PATH="$PATH:$work/python/bin"

step "rustfmt" cargo fmt --all --check
step "air" air format --check R tests inst tools
step "jarl" jarl check R
step "short files" bash tools/short-files.sh
step "licences" python3 tools/licences.py
step "clippy" cargo clippy --workspace --all-targets --locked "${features[@]}" -- -D warnings
step "layers" bash tools/layers.sh
export STARBURST_MOTO_PYTHON=$work/python/bin/python
step "templates and policies" bash tools/test-template.sh
# R's tests of AWS start it; cargo test builds it.
export STARBURST_AWS_STANDIN=$PWD/target/debug/starburst-aws-standin
step "cargo test" cargo test --workspace --locked "${features[@]}"
count "cargo test"

# What git has or would take, as it is in the working tree: the same that was checked above.
build() {
  rm -rf "$work/starburst" "$work"/starburst_*.tar.gz
  mkdir -p "$work/starburst" &&
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$work/starburst" -xf - &&
    (cd "$work" && R CMD build --no-build-vignettes starburst)
}
step "R CMD build" build
tarball=$(echo "$work"/starburst_*.tar.gz)

# One vector over 2^31 bytes needs about 12 GB, counted here.
if [ "$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)" -ge 14 ]; then
  export STARBURST_LARGE=yes
fi
# Both R's compile the same crates: they share what comes of them.
export STARBURST_TARGET_DIR=$work/release
# What depends on the version of R is not shared.
forget_bindings() {
  cargo clean --release --target-dir "$STARBURST_TARGET_DIR" -p extendr-ffi -p extendr-api -p starburst-r >/dev/null 2>&1 || true
}
forget_bindings
note "this system's future is $(Rscript -e 'cat(as.character(packageVersion("future")))')"
step "R CMD check, this system's R" bash tools/check.sh "$tarball"
count "R CMD check, this system's R"
step "generated files" bash tools/generated.sh "$work/starburst.Rcheck"
# On S3 the tests mostly wait: they run beside the check on the current R.
{
  bash tools/test-on-s3.sh "$work/starburst.Rcheck" >"$logs/R-tests-on-S3.log" 2>&1
  s3_status=$?
  # What the stand-ins were asked is checked against AWS's own models.
  bash tools/demo-aws-standin.sh "$work/starburst.Rcheck" >"$logs/demo-aws.log" 2>&1 &&
    "$work/python/bin/python" tools/permissions.py check target/demo-aws/record.jsonl \
      >>"$logs/demo-aws.log" 2>&1
  echo $? >"$work/demo-status"
  exit $s3_status
} &
on_s3=$!

if [ -n "${making:-}" ] && wait "$making"; then
  # It waits for disks and for workers: there is room for it beside the check.
  "${as_root[@]}" bash tools/test-image.sh "$work/starburst.Rcheck" "$work/current-r/root" >"$logs/images.log" 2>&1 &
  images=$!
  "${as_root[@]}" mkdir -p "$work/current-r/root/check"
  "${as_root[@]}" cp "$tarball" tools/check.sh "$work/current-r/root/check/"
  forget_bindings
  step "R CMD check, current R" \
    "${as_root[@]}" bash tools/current-r.sh run "$work/current-r" bash "/check/check.sh" "/check/$(basename "$tarball")"
  count "R CMD check, current R"
elif [ -n "${making:-}" ]; then
  failed=$((failed + 1))
  note "FAILED  making the root filesystem with a current R"
  tail -n 20 "$logs/current-r-make.log"
else
  failed=$((failed + 1))
  note "FAILED  a root filesystem with a current R needs root or sudo"
fi

if [ -n "${images:-}" ]; then
  wait "$images"
  step "images of workers" bash -c 'cat "$1"; exit "$2"' - "$logs/images.log" $?
fi
if wait "$on_s3"; then
  note "ok      R tests on S3"
  passed=$((passed + 1))
else
  note "FAILED  R tests on S3"
  failed=$((failed + 1))
  tail -n 60 "$logs/R-tests-on-S3.log" | sed 's/^/    /'
fi
count "R tests on S3"
step "demo on the stand-in for AWS" bash -c 'cat "$1"; exit "$(cat "$2")"' - "$logs/demo-aws.log" "$work/demo-status"

note "done"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
