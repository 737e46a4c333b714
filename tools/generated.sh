#!/usr/bin/env bash
# The generated files are what generating them again gives. usage: generated.sh <library with the package>
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(cat R/extendr-wrappers.R NAMESPACE man/*.Rd | cksum)
export R_LIBS="$1"
sh tools/document.sh
after=$(cat R/extendr-wrappers.R NAMESPACE man/*.Rd | cksum)
[ "$before" = "$after" ] || { git diff --stat; exit 1; }
