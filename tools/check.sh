#!/usr/bin/env bash
# R CMD check of a source package. Fails on errors, warnings and failed tests, and prints the counts of
# the tests. usage: check.sh <tarball with vignettes> [option of R CMD check]...
set -uo pipefail
tarball=$1
shift
cd "$(dirname "$tarball")" || exit 1
export _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_CRAN_INCOMING_=false NOT_CRAN=true
# The number of test files at once: they wait more than they compute.
export TESTTHAT_PARALLEL=TRUE TESTTHAT_CPUS=${TESTTHAT_CPUS:-4}
R CMD check --no-manual --no-build-vignettes "$@" "$(basename "$tarball")" > check.out 2>&1
status=$?
# The vignettes are installed with the package.
for source in starburst.Rcheck/00_pkg_src/starburst/vignettes/*.Rmd; do
  [ -e "starburst.Rcheck/starburst/doc/$(basename "$source" .Rmd).html" ] || {
    echo "ERROR: the vignette $source is not installed"
    status=1
  }
done
grep -E '^Status:|WARNING|ERROR|NOTE' check.out
tests=starburst.Rcheck/tests/testthat.Rout
[ -e "$tests" ] || tests=$tests.fail
if [ -e "$tests" ]; then
  sed -n '/Failed tests/,$p' "$tests" | head -n 80
  grep -oE '\[ FAIL [0-9]+ \| WARN [0-9]+ \| SKIP [0-9]+ \| PASS [0-9]+ \]' "$tests" | tail -n 1
else
  tail -n 40 check.out
  tail -n 40 starburst.Rcheck/00install.out 2>/dev/null
fi
# A check that ran no test has shown nothing.
[ "$status" = 0 ] && grep -qE '\| PASS [1-9]' "$tests" && ! grep -qE '^Status:.*(WARNING|ERROR)' check.out
