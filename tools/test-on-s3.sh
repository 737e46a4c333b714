#!/usr/bin/env bash
# Runs all R tests with the stores on S3: that of the tests, in a process of its own, with real worker processes.
# usage: test-on-s3.sh <folder with the installed package>
set -uo pipefail
library=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
# The server ends with its standard input.
coproc server { exec target/debug/starburst-s3; }
read -r address <&"${server[0]}" || { echo "the S3 of the tests did not start"; exit 1; }
echo "S3 is at $address"
export STARBURST_TEST_S3=$address STARBURST_STORE=s3://starburst/default
export AWS_ENDPOINT_URL_S3=$address AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID=AKIASTARBURSTTESTKIT AWS_SECRET_ACCESS_KEY=starburst-testkit-secret-of-nobody
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL
export R_LIBS=$library NOT_CRAN=true STARBURST_LARGE=
cd tests/testthat && Rscript -e '
  library(testthat)
  library(starburst)
  test_dir(".", package = "starburst", load_package = "installed", reporter = CheckReporter$new())'
