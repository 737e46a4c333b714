#' Build an image for workers, and push it
#'
#' Puts the worker onto an image that has R, and pushes the result to a
#' registry, without Docker or any other container engine on this machine. The
#' layers of `base` go from registry to registry and are never unpacked; what
#' the registry has is not sent again. Run it again after an interruption: it
#' goes on.
#'
#' The image has the base's files, and in `/opt/starburst` the worker, its R
#' scripts and the package future. It runs as user 10001, not as root, and has
#' no secrets. The same base, worker and packages make the same image, byte by
#' byte.
#'
#' ## The worker
#' is a program for Linux. The first of these that fits is taken:
#' - `worker`: a file, or a folder with `starburst-worker-<architecture>` or
#'   `starburst-worker-<version>-<architecture>.tar.gz`, as
#'   `tools/build-workers.sh` makes it;
#' - on Linux: the worker of this installation, for this machine's architecture.
#'   It needs a base whose C library is not older than that of this machine;
#' - `options(starburst.worker_url = )`: a URL below which
#'   `starburst-worker-<version>-<architecture>.tar.gz` and the same name with
#'   `.sha256` are. Both are downloaded, compared and kept.
#'
#' ## Packages
#' A base without the package future gets it, with the packages it needs:
#' binary packages for Linux from the repository that the base names in its
#' variable `CRAN` (as rocker's images do) or from
#' `options(starburst.binary_repository = )`; else copies from this R's library,
#' if this is Linux on the same architecture and the base has the same R version
#' (major and minor). They come last on the worker's search path: what the base
#' has itself is used first.
#'
#' ## Passwords
#' ECR is asked with your AWS credentials. For other registries: `login`, or
#' what `docker login` wrote into its configuration file (what it keeps in the
#' system's keychain is not read).
#'
#' @param base (string or `NULL`) The image with R, such as
#'   `"rocker/r-ver:4.5.1"`, `"r-base:4.5.1"`, or one of your own. Its R must not
#'   be older than this one. Default `NULL`: `rocker/r-ver` with this R's version.
#' @param push_to (string or `NULL`) Where the result goes, as
#'   `<registry>/<repository>:<tag>`. Default `NULL`: the stack's repository,
#'   with the version of this package as its tag, which is what workers start
#'   from unless `image` says otherwise.
#' @param architectures (character) `"amd64"` (x86-64, the default), `"arm64"`
#'   (Graviton), or both: then one name stands for both.
#' @param worker (string, named character or `NULL`) See "The worker". One
#'   string, or one for each architecture, by its name.
#' @param packages (string or named character) `"auto"` (see "Packages"),
#'   `"none"`, or a library: a folder with installed packages for the base's
#'   Linux and R; one for each architecture by its name.
#' @param login (named character or `NULL`) `c(user = , password = )` for the
#'   registry of `push_to`. Default `NULL`: see "Passwords".
#' @param region,profile (string or `NULL`) Which stack, and how AWS is reached.
#'   Default `NULL`: as `starburst_config()` or the environment says.
#'
#' @returns Invisibly, a list: `image` (the name, for `image =`), `digest` (what
#'   it stands for now), `architectures` (a data frame, one row an architecture:
#'   `architecture`, `digest`, `layer` (digest of the layer with the worker),
#'   `bytes` (of all layers, compressed), `sent` (bytes that had to be sent)).
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is wrong, a worker for
#' another system, or no worker at hand; `starburst_error_not_found` if there is
#' no such base or repository; `starburst_error_unauthenticated` and
#' `starburst_error_permission` if a registry refuses;
#' `starburst_error_not_set_up` without `push_to` and without a stack;
#' `starburst_error_data` for damaged layers and downloads;
#' `starburst_error_unavailable` if a registry does not answer.
#'
#' @examples
#' if (starburst_is_configured()) {
#'   starburst_image_build()
#' }
#' # What is wrong is said before anything is asked.
#' try(starburst_image_build(architectures = "sparc"))
#' @export
starburst_image_build <- function(
  base = NULL,
  push_to = NULL,
  architectures = "amd64",
  worker = NULL,
  packages = "auto",
  login = NULL,
  region = NULL,
  profile = NULL
) {
  call <- rlang::current_env()
  check_architectures(architectures, call)
  check_string(base, "base", call, null = TRUE)
  check_string(push_to, "push_to", call, null = TRUE)
  login <- check_login(login, call)
  workers <- check_by_architecture(worker, "worker", architectures, call, null = TRUE)
  packages <- check_by_architecture(packages, "packages", architectures, call)
  if (is.null(push_to)) {
    record <- account_settings(region, profile, call = call)
    push_to <- default_image(record)
    access <- access_of(record)
  } else {
    access <- account_access(region, profile)
  }
  base <- base %||% paste0("rocker/r-ver:", getRversion())
  check_image_name(base, "base", call)
  login$registry <- if (length(login)) check_image_name(push_to, "push_to", call)
  check_image_name(push_to, "push_to", call)

  folder <- tempfile("starburst-image-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  workers <- find_workers(workers, architectures, folder, call)
  docker <- docker_config()
  env_of <- function(architecture) {
    found <- unwrap_native(rs_image_env(access, base, architecture, docker, login), call)
    stats::setNames(found$values, found$names)
  }
  libraries <- find_libraries(packages, architectures, env_of, folder, call)
  scripts <- system.file("worker", package = "starburst")
  job <- rs_image_build(access, base, push_to, architectures, workers, libraries, scripts, docker, login)
  built <- follow(unwrap_native(job, call), "building", call)
  say(sprintf("`%s` is ready, as %s", push_to, built$digest))
  invisible(list(
    image = push_to,
    digest = built$digest,
    architectures = data.frame(
      architecture = architectures,
      digest = built$digests,
      layer = built$layers,
      bytes = as.numeric(built$bytes),
      sent = as.numeric(built$sent)
    )
  ))
}

# The image that workers start from where nothing else is said.
default_image <- function(record) paste0(record$repository, ":", utils::packageVersion("starburst"))

# Workers need an image before the first session: offers to build it, or names the command.
offer_image <- function(record, ask, call) {
  image <- config_defaults(call)$image %||% default_image(record)
  there <- rs_has_image(access_of(record), image)
  # What may not be looked at is the doctor's business.
  if (!isFALSE(there)) {
    return(invisible())
  }
  lines <- c(
    sprintf("There is no image `%s` for workers yet.", image),
    sprintf("`starburst_image_build()` makes it from rocker/r-ver:%s; it takes some minutes.", getRversion())
  )
  if (image == default_image(record) && ask && rlang::is_interactive()) {
    if (may_go_on(lines, "Build it now?", ask, FALSE, call)) {
      starburst_image_build(push_to = image, region = record$region, profile = record$profile)
    }
    return(invisible())
  }
  say(paste(lines, collapse = "\n"))
}

check_architectures <- function(architectures, call) {
  known <- c("amd64", "arm64")
  ok <- is.character(architectures) && length(architectures) > 0L && all(architectures %in% known)
  if (!ok || anyDuplicated(architectures)) {
    abort_input("architectures", describe(architectures), "\"amd64\", \"arm64\" or both, each once", call)
  }
}

# One string for all, or one for each by name; comes back with one for each architecture.
check_by_architecture <- function(x, arg, architectures, call, null = FALSE) {
  if (null && is.null(x)) {
    return(NULL)
  }
  ok <- is.character(x) && length(x) > 0L && !anyNA(x) && all(nzchar(x))
  if (ok && is.null(names(x)) && length(x) == 1L) {
    return(rlang::set_names(rep(enc2utf8(x), length(architectures)), architectures))
  }
  if (!ok || !setequal(names(x), architectures)) {
    abort_input(arg, describe(x), "one string, or one for each of `architectures`, by its name", call)
  }
  rlang::set_names(enc2utf8(x[architectures]), architectures)
}

check_login <- function(login, call) {
  if (is.null(login)) {
    return(list())
  }
  ok <- is.character(login) && setequal(names(login), c("user", "password")) && !anyNA(login)
  if (!ok) {
    # What was given may have a password in it, so it is not shown.
    abort_input("login", "something else", "c(user = , password = )", call)
  }
  as.list(enc2utf8(login))
}

# The registry of an image's name.
check_image_name <- function(image, arg, call) {
  registry <- rs_image_registry(image)
  if (inherits(registry, "extendr_error")) {
    abort_input(arg, describe(image), "the name of an image, such as \"registry/repository:tag\"", call)
  }
  registry
}

# What `docker login` wrote, as text; nothing if there is no such file.
docker_config <- function() {
  folder <- Sys.getenv("DOCKER_CONFIG", file.path(path.expand("~"), ".docker"))
  file <- file.path(folder, "config.json")
  if (!file.exists(file)) {
    return("")
  }
  paste(readLines(file, warn = FALSE, encoding = "UTF-8"), collapse = "\n")
}
