#!/usr/bin/env bash
# Installs what the demo and the tests need and is not there: R, R packages, a C compiler. Never touches
# what is there. usage: setup.sh [demo|test]
set -euo pipefail
purpose=${1:-demo}
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*"; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    say "This needs root or sudo: $*" >&2
    exit 1
  fi
}
updated=
apt_install() {
  command -v apt-get >/dev/null || {
    say "These are missing, and this is neither Debian nor Ubuntu: $*. Please install them." >&2
    exit 1
  }
  local log
  log=$(mktemp)
  say "Installing from the system's packages: $*"
  if [ -z "$updated" ]; then as_root apt-get update -qq >"$log" 2>&1; updated=yes; fi
  if ! as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
  rm -f "$log"
}

# Rust first: without it nothing can be built, and only the user may want to change it.
export PATH="$PATH:$HOME/.cargo/bin"
sh "$here/cargo.sh" - true

need=()
command -v Rscript >/dev/null || need+=(r-base-core)
command -v cc >/dev/null && command -v make >/dev/null || need+=(r-base-dev)
command -v pgrep >/dev/null || need+=(procps)
if [ "$purpose" = test ]; then
  command -v git >/dev/null || need+=(git)
  command -v mmdebstrap >/dev/null || need+=(mmdebstrap)
  command -v docker-registry >/dev/null || need+=(docker-registry)
  command -v buildah >/dev/null || need+=(buildah)
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || need+=(libfaketime)
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || need+=(debian-archive-keyring)
  python3 -c 'import ensurepip' 2>/dev/null || need+=(python3 python3-venv)
fi
[ ${#need[@]} = 0 ] || apt_install "${need[@]}"
# R's headers and libraries are in r-base-dev where the system splits R up.
Rscript -e 'quit(status = as.integer(!file.exists(file.path(R.home("include"), "R.h"))))' || apt_install r-base-dev

packages=(cli future R6 rlang furrr future.apply survival)
[ "$purpose" = demo ] || packages+=(fastmap foreach knitr later listenv markdown progressr promises roxygen2 shiny testthat withr)
missing() {
  Rscript --vanilla -e 'p <- commandArgs(TRUE); cat(p[!vapply(p, requireNamespace, NA, quietly = TRUE)])' \
    "$@" 2>/dev/null
}
from_cran() {
  # shellcheck disable=SC2086
  Rscript --vanilla "$here/cran.R" $left || true
  left=$(missing "${packages[@]}")
}
from_system() {
  local debs=() package
  for package in $left; do debs+=("r-cran-$(printf %s "$package" | tr '[:upper:]' '[:lower:]')"); done
  apt_install "${debs[@]}"
  left=$(missing "${packages[@]}")
}
left=$(missing "${packages[@]}")
[ -z "$left" ] || say "R packages that are missing: $left"
# The tests want the system's own `future`, which is an old one; for use, CRAN's current one is better.
if [ "$purpose" = test ] && [ -n "$left" ] && command -v apt-get >/dev/null; then from_system; fi
[ -z "$left" ] || from_cran
[ -z "$left" ] || from_system
if [ -n "$left" ]; then
  say "These R packages could not be installed: $left" >&2
  exit 1
fi
