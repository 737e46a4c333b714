# The package future, and what it needs, for images whose base has none.

# One library for each architecture, "" where none is needed. `env_of()` asks what the base says of itself.
find_libraries <- function(given, architectures, env_of, folder, call) {
  vapply(
    architectures,
    function(architecture) {
      packages <- given[[architecture]]
      if (packages == "none") {
        return("")
      }
      if (packages == "auto") {
        return(auto_library(architecture, env_of(architecture), folder, call))
      }
      if (!dir.exists(packages)) {
        abort_input(
          "packages",
          describe(packages),
          "\"auto\", \"none\", or a folder with installed packages",
          call
        )
      }
      packages
    },
    ""
  )
}

auto_library <- function(architecture, env, folder, call) {
  into <- file.path(folder, paste0("library-", architecture))
  dir.create(into)
  version <- base_r_version(env)
  repository <- getOption("starburst.binary_repository") %||% binary_repository(env)
  if (!is.null(repository) && !is.null(version)) {
    download_packages(repository, version, architecture, into, call)
    return(into)
  }
  own <- as.character(getRversion())
  if (is_linux() && this_architecture() == architecture && same_minor(version, own)) {
    copy_packages(into)
    return(into)
  }
  say(c(
    "the base must have the package future itself: none was found that fits it",
    i = if (is.null(version)) {
      "the base does not say its R version in `R_VERSION` or `R_BASE_VERSION`; `packages` may name a library for it"
    } else {
      sprintf("the base has R %s; `packages` may name a library for it", version)
    }
  ))
  ""
}

# As rocker's and Debian's images of R say it.
base_r_version <- function(env) {
  found <- env[c("R_VERSION", "R_BASE_VERSION")]
  found <- found[!is.na(found) & grepl("^[0-9]+[.][0-9]+", found)]
  if (length(found)) unname(found[[1L]])
}

# Posit's package manager has binary packages for a distribution of Linux below such an address.
binary_repository <- function(env) {
  found <- env["CRAN"]
  if (!is.na(found) && grepl("/__linux__/", found, fixed = TRUE)) unname(found)
}

same_minor <- function(one, other) {
  minor <- function(version) paste(unlist(package_version(version))[1:2], collapse = ".")
  !is.null(one) && identical(minor(one), minor(other))
}

needed_packages <- function(db) {
  base <- rownames(utils::installed.packages(.Library, priority = c("base", "recommended")))
  needed <- tools::package_dependencies("future", db = db, recursive = TRUE)[[1L]]
  setdiff(c("future", needed), c(base, "R"))
}

copy_packages <- function(into) {
  needed <- needed_packages(utils::installed.packages())
  file.copy(vapply(needed, find.package, "", USE.NAMES = FALSE), into, recursive = TRUE)
}

# The repository gives binary packages to those who say which R they are for, and sources to others.
download_packages <- function(repository, version, architecture, into, call) {
  machine <- if (architecture == "amd64") "x86_64" else "aarch64"
  agent <- sprintf("R/%s R (%s %s-pc-linux-gnu %s linux-gnu)", version, version, machine, machine)
  old <- options(HTTPUserAgent = agent, repos = c(CRAN = repository))
  on.exit(options(old))
  said <- tryCatch(
    {
      db <- utils::available.packages(utils::contrib.url(repository, "source"), filters = "duplicates")
      got <- utils::download.packages(
        needed_packages(db),
        into,
        available = db,
        type = "source",
        quiet = TRUE
      )
      NULL
    },
    error = conditionMessage,
    warning = conditionMessage
  )
  if (is.null(said)) {
    said <- unpack_packages(got, into)
  }
  if (!is.null(said)) {
    starburst_abort(
      c(
        sprintf("`%s` did not give the package future for the base", repository),
        x = said,
        i = "try again, set `options(starburst.binary_repository = )`, or give a library as `packages`",
        i = "if the base has future itself, give `packages = \"none\"`"
      ),
      kind = "unavailable",
      subject = repository,
      call = call
    )
  }
}

# Unpacks binary packages into a library; says what is wrong, or nothing.
unpack_packages <- function(got, into) {
  for (i in seq_len(nrow(got))) {
    archive <- got[i, 2L]
    utils::untar(archive, exdir = into)
    # A repository on this machine hands out its own files.
    if (normalizePath(dirname(archive)) == normalizePath(into)) {
      unlink(archive)
    }
    built <- read.dcf(file.path(into, got[i, 1L], "DESCRIPTION"), fields = "Built")
    if (is.na(built)) {
      return(sprintf("it gives the sources of `%s`, not a binary package", got[i, 1L]))
    }
  }
  if (nrow(got) == 0L) "it does not have it"
}
