#!/usr/bin/env bash
# Builds and installs starburst and runs its main job on real data, on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"

printf '== Setting up\n'
bash tools/setup.sh demo
# A library of its own: your own packages stay as they are.
library=$PWD/target/demo/library
mkdir -p "$library"
log=target/demo/install.log
printf 'Building and installing starburst (the first time takes some minutes) ...\n'
if ! R CMD INSTALL --no-docs --no-test-load --library="$library" . >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  exit 1
fi
export R_LIBS="$library${R_LIBS:+:$R_LIBS}"
store=$(mktemp -d)
trap 'rm -rf "$store"' EXIT
export STARBURST_STORE="$store"

Rscript --vanilla tools/demo/bootstrap.R
printf '\n== A detached session\n'
id=$(Rscript --vanilla tools/demo/submit.R)
printf 'The R process that submitted the work has ended. Another one attaches to session %s:\n\n' "$id"
Rscript --vanilla tools/demo/collect.R "$id"

cat <<'TEXT'

== The same on AWS
The code does not change: `launch_type = "FARGATE"`, the default, in place of `launch_type = "LOCAL"`, after
`starburst_setup()`. `bash tools/demo-aws-standin.sh` shows it without an account.
TEXT
