#!/usr/bin/env bash
# No source file is longer than 500 lines; what is generated does not count.
set -euo pipefail
long=$(git ls-files '*.rs' '*.R' '*.c' '*.sh' ':!R/extendr-wrappers.R' | xargs wc -l |
  awk '$2 != "total" && $1 > 500 { print $1, $2 }')
[ -z "$long" ] || { printf '%s\n' "$long"; exit 1; }
