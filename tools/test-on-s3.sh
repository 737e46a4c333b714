#!/usr/bin/env bash
# Runs all R tests with the stores on S3: that of the tests, with real worker processes.
# usage: test-on-s3.sh <folder with the installed package>
set -uo pipefail
library=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
export STARBURST_TEST_S3_PROGRAM=$PWD/target/debug/starburst-s3
export R_LIBS=$library NOT_CRAN=true STARBURST_LARGE=
# The number of test files at once: they wait more than they compute.
export TESTTHAT_PARALLEL=TRUE TESTTHAT_CPUS=${TESTTHAT_CPUS:-4}
# As in R CMD check, on a copy: testthat 3.1 takes snapshots away that other processes than its first have read.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r tests "$copy" && cd "$copy/tests/testthat" && Rscript -e '
  library(testthat)
  library(starburst)
  test_dir(".", package = "starburst", load_package = "installed", reporter = CheckReporter$new())'
