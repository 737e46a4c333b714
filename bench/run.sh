#!/usr/bin/env bash
# Runs the benchmarks and writes bench/results.md and bench/results.svg. Needs the package installed, and the S3 of the
# tests built: `cargo build --release -p starburst-testkit --features aws --bin starburst-s3`.
# usage: run.sh [--rounds=3] [--only=<workload>] [--backends=<one>;<another>] [--out=<folder>] [--add=yes]
set -euo pipefail
cd "$(dirname "$0")"
exec Rscript run.R "$@"
