#!/usr/bin/env bash
# Images of workers, from their making to a session that they drain, with nothing but this machine: a registry of
# Debian, a base of a root filesystem with R, the same image made by `starburst_image_build()` and by the Dockerfile.
# usage: test-image.sh <folder with the installed package> <root filesystem with R>   (needs root)
set -euo pipefail
library=$(cd "$1" && pwd)
root=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/starburst-image.XXXXXX")
standin=${STARBURST_AWS_STANDIN:-target/debug/starburst-aws-standin}
note() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
build() { buildah --root "$work/images" --runroot "$work/run" "$@"; }

registries=() mounted=()
cleanup() {
  for folder in "${mounted[@]}"; do umount -l "$folder" || true; done
  for pid in "${registries[@]}"; do kill "$pid" || true; done
  build rm --all >/dev/null 2>&1 || true
  build rmi --all --force >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

# Starts a registry at an address.
registry() {
  local folder=$work/${1//:/-}
  mkdir "$folder"
  printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/data\nhttp:\n  addr: %s\n' "$folder" "$1" \
    >"$folder/config.yml"
  OTEL_TRACES_EXPORTER=none docker-registry serve "$folder/config.yml" >"$folder/log" 2>&1 &
  registries+=($!)
}
from=127.0.0.1:$(free_port) place=127.0.0.1:$(free_port)
registry "$from"
registry "$place"

note "packing the base"
# Others may be at work in the same files: only what a system has by itself is taken, without what compilers need.
(cd "$root" && tar --sort=name --numeric-owner \
  --exclude='var/cache/*' --exclude='var/lib/apt/lists/*' --exclude=usr/lib/gcc --exclude=usr/libexec/gcc \
  --exclude=usr/include --exclude='usr/share/doc/*' --exclude='usr/share/man/*' --exclude='usr/share/locale/*' \
  -cf - bin etc lib* opt sbin usr var --no-recursion dev home proc root run sys tmp) |
  gzip -1 >"$work/base.tar.gz" || [ "${PIPESTATUS[0]}" = 1 ]
version=$(chroot "$root" Rscript --vanilla -e 'cat(as.character(getRversion()))')
python3 tools/test-image/push-base.py "$from" r-base:test "$work/base.tar.gz" "$version"
note "the base has R $version and $(($(stat -c %s "$work/base.tar.gz") / 1000000)) MB"

# The worker of this machine, and for ARM64 a file that only looks like one.
mkdir "$work/workers" "$work/library"
cp "$library/starburst/bin/starburst-worker" "$work/workers/starburst-worker-amd64"
printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0' >"$work/workers/starburst-worker-arm64"
# A package that only the image brings.
mkdir -p "$work/brought/R"
printf 'Package: brought\nVersion: 1.0\nTitle: Brought\nDescription: Brought.\nLicense: CC0\nAuthor: N\nMaintainer: N <n@example.org>\n' \
  >"$work/brought/DESCRIPTION"
echo 'export(where_from)' >"$work/brought/NAMESPACE"
echo 'where_from <- function() "the image"' >"$work/brought/R/brought.R"
R CMD INSTALL --no-docs --library="$work/library" "$work/brought" >"$work/brought.log" 2>&1

export R_LIBS=$library${R_LIBS:+:$R_LIBS} R_USER_CONFIG_DIR=$work/config
export AWS_ACCESS_KEY_ID=AKIASTARBURSTTESTKIT AWS_SECRET_ACCESS_KEY=starburst-testkit-secret-of-nobody
export AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_REGION STARBURST_STORE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3

note "building without an engine"
Rscript --vanilla tools/test-image/build.R "$from/r-base:test" "$place/workers:1" "$work/workers" "$work/library"

note "pulling both architectures"
build pull --quiet --tls-verify=false --arch arm64 "docker://$place/workers:1" >/dev/null
build inspect --type image --format '{{.OCIv1.Architecture}}' "$place/workers:1" | grep -qx arm64
build pull --quiet --tls-verify=false --arch amd64 "docker://$place/workers:1" >/dev/null
build inspect --type image --format '{{.OCIv1.Architecture}}' "$place/workers:1" | grep -qx amd64

note "a project whose lock file renv writes, with packages of a repository on this machine"
repository_port=$(free_port)
Rscript --vanilla -e 'source("tests/testthat/helper-environment.R")
  stopifnot(file.rename(test_repository(), commandArgs(TRUE)))' "$work/repository"
python3 -m http.server "$repository_port" --bind 127.0.0.1 --directory "$work/repository" >"$work/repository.log" 2>&1 &
registries+=($!)
for _ in $(seq 100); do
  ! python3 -c "import socket; socket.create_connection(('127.0.0.1', $repository_port))" 2>/dev/null || break
  sleep 0.1
done
project=$(mktemp -d "$root/tmp/project.XXXXXX")
cp tools/test-image/project.R "$project/"
chroot "$root" Rscript --vanilla "${project#"$root"}/project.R" "${project#"$root"}" "http://127.0.0.1:$repository_port" \
  >"$work/project.log" 2>&1 || { cat "$work/project.log"; exit 1; }
mv "$project/renv.lock" "$work/renv.lock"
rm -rf "$project"

# Unpacks an image, adds packages to it, and runs a session whose workers are its containers.
drain() {
  local image=$1 container folder package
  container=$(build from --pull-never "$image")
  folder=$(build mount "$container")
  shift
  for package in "$@"; do cp -r "$package" "$folder/opt/starburst/library/"; done
  build inspect --type image "$image" >"$work/image.json"
  for part in proc dev; do
    mount --bind "/$part" "$folder/$part"
    mounted+=("$folder/$part")
  done
  ecs_port=$(free_port) s3_port=$(free_port)
  export AWS_ENDPOINT_URL=http://127.0.0.1:$ecs_port AWS_ENDPOINT_URL_S3=http://127.0.0.1:$s3_port
  local variables=()
  for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3; do
    variables+=(--env "$name=${!name}")
  done
  rm -rf "$R_USER_CONFIG_DIR"
  # It ends with its standard input.
  coproc standin_ {
    exec "$standin" --port "$ecs_port" --s3 --s3-port "$s3_port" --cluster lab "${variables[@]}" \
      -- "$(command -v python3)" "$PWD/tools/test-image/in-image.py" "$folder" "$work/image.json" 2>"$work/standin.log"
  }
  read -r _ <&"${standin_[0]}" && read -r _ <&"${standin_[0]}"
  if ! Rscript --vanilla tools/test-image/session.R "$image" "${version%.*}" "$work/renv.lock"; then
    cat "$work/standin.log"
    return 1
  fi
  eval "exec ${standin_[1]}>&-"
  wait "$standin__PID" || true
  unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
}
note "a session in the image that was pulled"
drain "$place/workers:1"

note "building by the Dockerfile"
mkdir "$work/context"
cp -r "$library/starburst/worker" "$work/context/"
mkdir "$work/context/bin" "$work/context/library"
cp "$library/starburst/bin/starburst-worker" "$work/context/bin/"
build bud --quiet --isolation chroot --tls-verify=false --layers=false --build-arg "BASE=$from/r-base:test" \
  -f inst/docker/Dockerfile -t workers-by-dockerfile "$work/context" >"$work/bud.log" 2>&1 || { cat "$work/bud.log"; exit 1; }
note "a session in the image of the Dockerfile"
drain localhost/workers-by-dockerfile "$work/library/brought"
note "done"
