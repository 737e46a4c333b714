#!/usr/bin/env bash
# Runs the tests of other packages with plan(multisession) and with plan(starburst), and shows where they differ.
# usage: ecosystem.sh <folder> [package]...
# The folder holds the sources of furrr, future.apply, progressr, doFuture, or of some of them, each in a folder of its name.
# These packages, starburst and testthat must be installed (R_LIBS): the tests are taken from the sources, the code is not.
set -uo pipefail
folder=$(cd "$1" && pwd) || exit 1
shift
[ $# -gt 0 ] || set -- furrr future.apply progressr doFuture
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NOT_CRAN=true R_PROFILE_USER=$work/profile.R

# Suites go through the names of plans that `future` or they themselves list: here it is one. A suite that names a plan finds
# `starburst` in the global environment, with workers of this machine.
cat >"$work/profile.R" <<'END'
invisible(local({
  name <- Sys.getenv("ECOSYSTEM_PLAN")
  if (!nzchar(name)) return()
  setHook(packageEvent("future", "onLoad"), function(...) {
    future <- asNamespace("future")
    if (exists("supportedStrategies", envir = future, inherits = FALSE)) {
      utils::assignInNamespace("supportedStrategies", function(...) name, future)
    }
  })
  if (name == "starburst") {
    assign("starburst", future::tweak(starburst::starburst, launch_type = "LOCAL", workers = 2), envir = globalenv())
  }
}))
END
cat >"$work/plan.R" <<'END'
supportedStrategies <- function(...) Sys.getenv("ECOSYSTEM_PLAN")
future_strategies <- supported_strategies <- supportedStrategies
END

# furrr: testthat. Prints a line for each test.
testthat_suite() {
  Rscript -e '
    package <- commandArgs(TRUE)[[1]]
    setwd("tests/testthat")
    found <- testthat::test_dir(".", package = package, load_package = "installed", reporter = "silent", stop_on_failure = FALSE)
    for (test in found) {
      kinds <- vapply(test$results, function(result) class(result)[[1]], "")
      bad <- intersect(c("expectation_error", "expectation_failure", "expectation_skip", "expectation_warning"), kinds)
      words <- sub("expectation_", "", c(bad, "ok"))[[1]]
      # The name of a test has that of its plan in it.
      name <- gsub(" / strategy - [a-z]+", "", test$test)
      cat(sprintf("%s %s: %s\n", test$file, name, words))
    }
  ' "$1" 2>"$2"
}

# The others: a script for each file. Prints a line for each.
script_suite() {
  local file name
  for file in inst/testme/test-*.R; do
    # Those that set no plan have nothing to show.
    grep -qE 'trateg|plan\(' "$file" || continue
    name=$(basename "$file" .R)
    if timeout 600 Rscript inst/testme/run.R --name="${name#test-}" >"$2-$name" 2>&1; then
      echo "$name: ok"
    else
      echo "$name: failed"
      tail -n 15 "$2-$name" | sed 's/^/    /' >>"$2"
    fi
  done
}

status=0
for package in "$@"; do
  if [ ! -d "$folder/$package" ]; then
    echo "$package: no sources in $folder"
    continue
  fi
  if ! Rscript -e 'invisible(lapply(c("starburst", "testthat", commandArgs(TRUE)), loadNamespace))' "$package" 2>"$work/load.log"; then
    echo "$package: cannot be loaded: $(grep -m 1 -A 1 Error "$work/load.log" | tr -s "\n " " ")"
    status=1
    continue
  fi
  for plan in multisession starburst; do
    copy=$work/$plan-$package
    cp -r "$folder/$package" "$copy"
    suite=script_suite
    if [ -d "$copy/tests/testthat" ]; then
      suite=testthat_suite
      cp "$work/plan.R" "$copy/tests/testthat/helper-zz-plan.R"
      # Snapshots are filed by the names of tests, which have that of the plan in them.
      find "$copy/tests/testthat/_snaps" -name '*.md' -exec sed -i "s/strategy - multisession/strategy - $plan/" {} + 2>/dev/null
    elif [ -d "$copy/inst/testme" ]; then
      # After all that prepares the tests, before what looks for leftovers.
      { cat "$work/plan.R"; echo 'future_strategies <- future_strategies()'; } >"$copy/inst/testme/_prologue/994.plan.R"
    fi
    (cd "$copy" && ECOSYSTEM_PLAN=$plan "$suite" "$package" "$work/$plan-$package.log") >"$work/$plan-$package.txt"
    echo "$package with $plan: $(grep -c ': ok$' "$work/$plan-$package.txt") ok, $(grep -vc ': ok$' "$work/$plan-$package.txt") not"
  done
  if ! diff "$work/multisession-$package.txt" "$work/starburst-$package.txt"; then
    status=1
    cat "$work/starburst-$package.log" 2>/dev/null
  fi
done
exit $status
