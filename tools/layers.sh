#!/usr/bin/env bash
# Who may depend on whom: core on none of ours, local and testkit on core, worker and r on core and local.
set -euo pipefail
ours() {
  cargo tree --locked -p "$1" -e normal --prefix none | grep -oE '^starburst-[a-z]+' | sort -u | grep -v "^$1$" | xargs
}
expect() {
  found=$(ours "$1" || true)
  [ "$found" = "$2" ] || { echo "$1 depends on '$found', not on '$2'"; exit 1; }
}
expect starburst-core ""
expect starburst-local "starburst-core"
expect starburst-testkit "starburst-core"
expect starburst-worker "starburst-core starburst-local"
expect starburst-r "starburst-core starburst-local"
