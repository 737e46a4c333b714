#!/bin/sh
# Regenerates what is generated: R/extendr-wrappers.R, NAMESPACE and man/. The package must be installed.
set -eu
cd "$(dirname "$0")/.."
Rscript tools/write-wrappers.R
Rscript -e 'options(keep.source = TRUE, keep.source.pkgs = TRUE); roxygen2::roxygenise(load_code = "source")'
