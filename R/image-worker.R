# Where the worker for an image comes from: a file or folder of the user's, this installation, or a release's URL.

# One program for each architecture.
find_workers <- function(given, architectures, folder, call) {
  vapply(
    architectures,
    function(architecture) {
      path <- given[[architecture]]
      if (is.null(path)) {
        own_worker(architecture) %||% downloaded_worker(architecture, folder, call)
      } else {
        given_worker(path, architecture, folder, call)
      }
    },
    ""
  )
}

# Linux and macOS name the same processors differently.
this_architecture <- function() {
  switch(Sys.info()[["machine"]], x86_64 = , amd64 = "amd64", aarch64 = , arm64 = "arm64", "other")
}

is_linux <- function() identical(Sys.info()[["sysname"]], "Linux")

# That of this installation, if it can run in an image.
own_worker <- function(architecture) {
  path <- system.file("bin", "starburst-worker", package = "starburst")
  if (is_linux() && this_architecture() == architecture && nzchar(path)) path
}

worker_archive <- function(architecture) {
  sprintf("starburst-worker-%s-%s.tar.gz", utils::packageVersion("starburst"), architecture)
}

given_worker <- function(path, architecture, folder, call) {
  if (!dir.exists(path)) {
    if (!file.exists(path)) {
      abort_input("worker", describe(path), "a file or a folder that exists", call)
    }
    return(if (endsWith(path, ".tar.gz")) unpacked_worker(path, architecture, folder, call) else path)
  }
  plain <- file.path(path, paste0("starburst-worker-", architecture))
  archive <- file.path(path, worker_archive(architecture))
  if (file.exists(plain)) {
    plain
  } else if (file.exists(archive)) {
    unpacked_worker(archive, architecture, folder, call)
  } else {
    allowed <- sprintf("a folder with `%s` or `%s`", basename(plain), basename(archive))
    abort_input("worker", describe(path), allowed, call)
  }
}

unpacked_worker <- function(archive, architecture, folder, call) {
  into <- file.path(folder, architecture)
  status <- tryCatch(
    utils::untar(archive, files = "starburst-worker", exdir = into),
    error = function(error) 1L,
    warning = function(warning) 1L
  )
  program <- file.path(into, "starburst-worker")
  if (status != 0L || !file.exists(program)) {
    abort_input("worker", describe(archive), "an archive with the program `starburst-worker`", call)
  }
  program
}

# The release's, kept for the next time, and compared with its checksum each time.
downloaded_worker <- function(architecture, folder, call) {
  url <- getOption("starburst.worker_url")
  if (is.null(url)) {
    starburst_abort(
      c(
        sprintf("there is no worker for Linux on %s at hand", architecture),
        x = sprintf(
          "this is %s on %s, and a worker runs on Linux",
          Sys.info()[["sysname"]],
          this_architecture()
        ),
        i = "give `worker`: `tools/build-workers.sh` of starburst's sources builds it for both architectures",
        i = "or set `options(starburst.worker_url = )` to where your release of starburst has its workers"
      ),
      kind = "invalid_input",
      arg = "worker",
      call = call
    )
  }
  check_string(url, "starburst.worker_url", call)
  name <- worker_archive(architecture)
  cache <- tools::R_user_dir("starburst", "cache")
  dir.create(cache, recursive = TRUE, showWarnings = FALSE)
  sums <- file.path(folder, paste0(name, ".sha256"))
  fetch(paste0(sub("/+$", "", url), "/", name, ".sha256"), sums, call)
  wanted <- sub("[[:space:]].*$", "", readLines(sums, n = 1L, warn = FALSE))
  archive <- file.path(cache, name)
  if (!file.exists(archive) || !identical(sha256_of(archive, call), wanted)) {
    fresh <- file.path(folder, name)
    fetch(paste0(sub("/+$", "", url), "/", name), fresh, call)
    if (!identical(sha256_of(fresh, call), wanted)) {
      starburst_abort(
        c(
          sprintf("`%s` was damaged on its way, or is not what its checksum is of", name),
          i = "try again; if it stays so, do not use what is at `starburst.worker_url`"
        ),
        kind = "data",
        subject = name,
        call = call
      )
    }
    file.copy(fresh, archive, overwrite = TRUE)
  }
  unpacked_worker(archive, architecture, folder, call)
}

sha256_of <- function(file, call) unwrap_native(rs_file_sha256(file), call)

fetch <- function(url, file, call) {
  said <- tryCatch(
    {
      suppressWarnings(utils::download.file(url, file, quiet = TRUE, mode = "wb"))
      NULL
    },
    error = conditionMessage
  )
  if (!is.null(said)) {
    starburst_abort(
      c(
        sprintf("`%s` cannot be downloaded", url),
        x = said,
        i = "check the address and the network, and that a release of this version is there"
      ),
      kind = "unavailable",
      subject = url,
      call = call
    )
  }
}
