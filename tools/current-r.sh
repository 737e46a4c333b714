#!/usr/bin/env bash
# A root filesystem with a current R and a current `future`. usage:
#   current-r.sh make <folder>              makes it (needs root)
#   current-r.sh run <folder> <command>...  runs a command in it, with this machine's Rust
set -euo pipefail
action=$1 folder=$2
shift 2
root=$folder/root

make() {
  [ -e "$root/.complete" ] && return
  mkdir -p "$root"
  # Packages of testing are signed for a time; a machine's clock may be behind or ahead of it.
  mmdebstrap --variant=minbase --quiet --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=r-base-core,r-base-dev,r-cran-cli,r-cran-fastmap,r-cran-foreach,r-cran-furrr,r-cran-future,r-cran-future.apply,r-cran-knitr,r-cran-later,r-cran-listenv,r-cran-markdown,r-cran-progressr,r-cran-promises,r-cran-r6,r-cran-renv,r-cran-rlang,r-cran-shiny,r-cran-survival,r-cran-testthat,r-cran-withr,ca-certificates,procps \
    forky "$folder/forky.tar"
  tar -C "$root" --exclude './dev/*' -xf "$folder/forky.tar"
  rm "$folder/forky.tar"
  touch "$root/.complete"
}

mounted=()
unmount() {
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}" || true; done
}
bind() {
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mounted+=("$root$2")
}

run() {
  trap unmount EXIT
  local cargo=${CARGO_HOME:-$HOME/.cargo} rustup=${RUSTUP_HOME:-$HOME/.rustup}
  bind /proc /proc
  bind /dev /dev
  bind "$cargo" /root/.cargo
  [ ! -d "$rustup" ] || bind "$rustup" /root/.rustup
  if [ -n "${STARBURST_TARGET_DIR:-}" ]; then
    # The same path inside, also of a copy: cargo knows what it compiled by paths.
    mkdir -p "$STARBURST_TARGET_DIR"
    bind "${STARBURST_TARGET_COPY:-$STARBURST_TARGET_DIR}" "$STARBURST_TARGET_DIR"
  fi
  [ ! -d "${STARBURST_LARGE:-}" ] || bind "$STARBURST_LARGE" "$STARBURST_LARGE"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mkdir -p "$root/etc/ssl/certs"
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 NOT_CRAN=true CI="${CI:-}" \
    TESTTHAT_CPUS="${TESTTHAT_CPUS:-}" STARBURST_LARGE="${STARBURST_LARGE:-}" STARBURST_TARGET_DIR="${STARBURST_TARGET_DIR:-}" \
    PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

"$action" "$@"
