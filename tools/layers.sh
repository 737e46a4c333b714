#!/usr/bin/env bash
# Who may depend on whom: core on none of ours; aws, image, local and testkit on core; place on aws and local;
# worker and r on those, and not on each other. The SDK is behind aws only.
set -euo pipefail
ours() {
  cargo tree --locked -p "$1" -e normal --prefix none | grep -oE '^starburst-[a-z]+' | sort -u | grep -v "^$1$" | xargs
}
expect() {
  found=$(ours "$1" || true)
  [ "$found" = "$2" ] || { echo "$1 depends on '$found', not on '$2'"; exit 1; }
}
expect starburst-core ""
expect starburst-aws "starburst-core"
expect starburst-image "starburst-core"
expect starburst-local "starburst-core"
expect starburst-place "starburst-aws starburst-core starburst-local"
expect starburst-testkit "starburst-core"
expect starburst-worker "starburst-aws starburst-core starburst-local starburst-place"
expect starburst-r "starburst-aws starburst-core starburst-image starburst-local starburst-place"
