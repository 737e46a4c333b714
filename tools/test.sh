#!/usr/bin/env bash
# Everything CI runs, from nothing: checks of the code, Rust tests, and R CMD check with all R tests on
# this system's R and on a current R. Ends with a line `N passed, N failed`.
# R's tests mostly wait, and compiling never does: Rust's lints and tests are compiled beside R's tests, and give way.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PATH:$HOME/.cargo/bin"
work=$PWD/target/test
logs=$work/logs
ended=$work/ended
rm -rf "$ended" "$work/turns"
mkdir -p "$logs" "$ended" "$work/turns"
passed=0 failed=0
declare -A running

note() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }
log_of() { printf '%s/%s.log' "$logs" "${1// /-}"; }

# Adds a step's outcome; its output is shown when it fails.
tell() {
  local name=$1 status=$2
  if [ "$status" = 0 ]; then
    passed=$((passed + 1))
    note "ok      $name"
  else
    failed=$((failed + 1))
    note "FAILED  $name"
    tail -n 60 "$(log_of "$name")" | sed 's/^/    /'
  fi
}

# Runs one step.
step() {
  local name=$1
  shift
  "$@" >"$(log_of "$name")" 2>&1
  tell "$name" $?
}

# Begins a step beside the others, once those have ended that it comes after.
# usage: begin <name> [after <name>]... <command>...
begin() {
  local name=$1 after=()
  shift
  while [ "$1" = after ]; do
    after+=("$2")
    shift 2
  done
  (
    for other in "${after[@]}"; do
      until [ -e "$ended/$other" ]; do sleep 1; done
    done
    from=$SECONDS
    "$@" >"$(log_of "$name")" 2>&1
    status=$?
    touch "$ended/$name"
    note "        $name: over after $((SECONDS - from)) s"
    exit $status
  ) &
  running[$name]=$!
}

# Waits for a step that began.
finish() {
  wait "${running[$1]}"
  tell "$1" $?
}

# Adds the tests that a step counted: cargo's lines, and testthat's.
count() {
  local log numbers
  log=$(log_of "$1")
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
if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
  failed=$((failed + 1))
  note "FAILED  a root filesystem with a current R needs root or sudo"
  as_root=(false)
fi
begin "a root filesystem with a current R" "${as_root[@]}" bash tools/current-r.sh make "$work/current-r"
tools_of_python() {
  python3 -m venv "$work/python" &&
    "$work/python/bin/pip" install -q air-formatter==0.12.0 jarl-linter==0.7.1 'moto[server]==5.2.1' cfn-lint==1.58.0
}
begin "tools of Python" tools_of_python
export PATH="$PATH:$work/python/bin"
export STARBURST_MOTO_PYTHON=$work/python/bin/python
# R's tests of AWS and on S3 start them.
export STARBURST_AWS_STANDIN=$PWD/target/debug/starburst-aws-standin
# One set of features for every build: with another one the AWS SDK would be compiled again.
features=(--features starburst-testkit/aws)
# Incremental compiling makes the next build quick and the first one slow.
[ -d target/debug/incremental ] || export CARGO_INCREMENTAL=0

step "rustfmt" cargo fmt --all --check
step "short files" bash tools/short-files.sh
step "stand-ins" cargo build --workspace --locked "${features[@]}" --bin starburst-s3 --bin starburst-aws-standin

# The files that git has or would take, as they are in the working tree: the same that are checked here.
build() {
  rm -rf "$work/starburst" "$work"/starburst_*.tar.gz
  mkdir -p "$work/starburst" &&
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$work/starburst" -xf - &&
    (cd "$work" && R CMD build --no-build-vignettes starburst)
}
step "R CMD build" build
tarball=$(echo "$work"/starburst_*.tar.gz)

# One vector over 2^31 bytes needs about 12 GB, counted here, and what runs beside it the rest. Tests that do take turns.
if [ "$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)" -ge 18 ]; then
  export STARBURST_LARGE=$work/turns
fi
# Both R's compile the same crates: what comes of them is copied for the other, but what depends on the version of R.
export STARBURST_TARGET_DIR=$work/release
forget_bindings() {
  cargo clean --release --target-dir "$1" -p extendr-ffi -p extendr-api -p starburst-r >/dev/null 2>&1 || true
}
library=$work/library
install() {
  forget_bindings "$STARBURST_TARGET_DIR"
  mkdir -p "$library"
  R CMD INSTALL --library="$library" "$tarball" || return
  rm -rf "$work/release-for-current-r"
  cp -a "$STARBURST_TARGET_DIR" "$work/release-for-current-r" && forget_bindings "$work/release-for-current-r"
}
begin "R CMD INSTALL" install
# The native code is compiled now. R CMD build installs the package once more, with it, and runs the vignettes.
complete=$work/with-vignettes/$(basename "$tarball")
vignettes() {
  rm -rf "$work/with-vignettes" && mkdir -p "$work/with-vignettes" && cd "$work/with-vignettes" &&
    MAKEFLAGS=CARGO=true R CMD build "$work/starburst"
}
begin "vignettes" after "R CMD INSTALL" vignettes

# Two of these run at once, and each runs several test files at once.
export TESTTHAT_CPUS=${TESTTHAT_CPUS:-3}
note "this system's future is $(Rscript -e 'cat(as.character(packageVersion("future")))')"
begin "R CMD check, this system's R" after "vignettes" bash tools/check.sh "$complete" --no-vignettes
begin "R tests on S3" after "R CMD check, this system's R" bash tools/test-on-s3.sh "$library"
check_current() {
  "${as_root[@]}" mkdir -p "$work/current-r/root/check" &&
    "${as_root[@]}" cp "$complete" tools/check.sh "$work/current-r/root/check/" &&
    "${as_root[@]}" env STARBURST_TARGET_COPY="$work/release-for-current-r" \
      bash tools/current-r.sh run "$work/current-r" bash "/check/check.sh" "/check/$(basename "$tarball")"
}
begin "R CMD check, current R" after "vignettes" after "a root filesystem with a current R" check_current
begin "images of workers" after "R CMD check, current R" \
  "${as_root[@]}" bash tools/test-image.sh "$library" "$work/current-r/root"
demo() {
  bash tools/demo-aws-standin.sh "$library" &&
    # The calls that the stand-ins got are checked against AWS's own models.
    "$work/python/bin/python" tools/permissions.py check target/demo-aws/record.jsonl
}
begin "demo on the stand-in for AWS" after "R tests on S3" demo

finish "tools of Python"
step "air" air format --check R tests inst tools
step "jarl" jarl check R
step "licences" python3 tools/licences.py
step "layers" bash tools/layers.sh
step "templates and policies" bash tools/test-template.sh
step "clippy" nice cargo clippy --workspace --all-targets --locked "${features[@]}" -- -D warnings
finish "R CMD INSTALL"
finish "vignettes"
step "generated files" bash tools/generated.sh "$library"
step "Rust tests compile" nice cargo test --no-run --workspace --locked "${features[@]}"
step "cargo test" cargo test --workspace --locked "${features[@]}"
count "cargo test"

finish "a root filesystem with a current R"
for name in "R CMD check, this system's R" "R tests on S3" "R CMD check, current R"; do
  finish "$name"
  count "$name"
done
finish "images of workers"
finish "demo on the stand-in for AWS"

note "done"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
