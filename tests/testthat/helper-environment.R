# A package repository of the tests: a dozen small source packages, most of which need others, one with C code and one
# in two versions. It is made once and copied where a test changes it.

package_sources <- function() {
  list(
    list("sbbase", "1.0"),
    list("sbtext", "1.0"),
    list("sbtext", "1.1"),
    list("sbcode", "1.0", c = TRUE),
    list("sbleft", "1.0", imports = "sbbase"),
    list("sbright", "1.0", imports = c("sbbase", "sbtext")),
    list("sbtop", "1.0", imports = c("sbleft", "sbright", "sbcode")),
    list("sbone", "1.0"),
    list("sbtwo", "1.0", imports = "sbone"),
    list("sbthree", "1.0", imports = "sbtwo"),
    list("sbfour", "1.0"),
    list("sbfive", "1.0", imports = "sbfour"),
    list("sbbroken", "1.0", broken = "library"),
    list("sbcrash", "1.0", broken = "load")
  )
}

# The source of a package: `hello()` says its name and version, with C code by way of C.
write_source <- function(
  folder,
  package,
  version,
  imports = character(),
  c = FALSE,
  broken = "",
  says = version
) {
  path <- file.path(folder, package)
  dir.create(file.path(path, "R"), recursive = TRUE)
  writeLines(
    c(
      paste0("Package: ", package),
      paste0("Version: ", version),
      "Title: A Package of the Tests",
      "Description: Says its name.",
      "License: MIT",
      # As in packages of a repository; renv looks for it.
      "Repository: TESTS",
      "Author: Nobody",
      "Maintainer: Nobody <nobody@example.com>",
      if (length(imports)) paste0("Imports: ", paste(imports, collapse = ", "))
    ),
    file.path(path, "DESCRIPTION")
  )
  namespace <- c("export(hello)", sprintf("import(%s)", imports)[seq_along(imports)])
  if (c) {
    namespace <- c(namespace, sprintf("useDynLib(%s)", package))
    dir.create(file.path(path, "src"))
    writeLines(
      c(
        "#include <Rinternals.h>",
        if (broken == "library") "#include <curl/curl_that_is_not_there.h>",
        sprintf("SEXP says_%s(void) { return Rf_mkString(\"%s %s\"); }", package, package, says)
      ),
      file.path(path, "src", "hello.c")
    )
    code <- sprintf("hello <- function() .Call(\"says_%s\", PACKAGE = \"%s\")", package, package)
  } else {
    code <- sprintf("hello <- function() \"%s %s\"", package, says)
  }
  if (broken == "load") {
    code <- c(code, ".onLoad <- function(libname, pkgname) stop(\"this needs a system service\")")
  }
  writeLines(namespace, file.path(path, "NAMESPACE"))
  writeLines(code, file.path(path, "R", "hello.R"))
  path
}

# The tarball of a source, as R CMD build names it.
pack_source <- function(path, into) {
  described <- read.dcf(file.path(path, "DESCRIPTION"), c("Package", "Version"))
  file <- file.path(into, paste0(described[[1]], "_", described[[2]], ".tar.gz"))
  withr::with_dir(dirname(path), utils::tar(file, basename(path), compression = "gzip", tar = "internal"))
  file
}

made_repositories <- new.env()

test_repository <- function() {
  if (is.null(made_repositories$path)) {
    path <- tempfile("repository")
    contrib <- file.path(path, "src", "contrib")
    dir.create(contrib, recursive = TRUE)
    for (row in package_sources()) {
      folder <- tempfile("source")
      broken <- if (is.null(row$broken)) "" else row$broken
      c <- isTRUE(row$c) || broken == "library"
      source <- write_source(folder, row[[1]], row[[2]], row$imports, c, broken)
      file <- pack_source(source, contrib)
      # An older version is in the archive.
      if (row[[1]] == "sbtext" && row[[2]] == "1.0") {
        archive <- file.path(contrib, "Archive", "sbtext")
        dir.create(archive, recursive = TRUE)
        file.rename(file, file.path(archive, basename(file)))
      }
    }
    tools::write_PACKAGES(contrib, type = "source")
    made_repositories$path <- path
  }
  made_repositories$path
}

# What a project needs, as `environment_needs()` says it.
needs_of <- function(packages, versions = list(), repository = paste0("file://", test_repository())) {
  imports <- list()
  for (row in package_sources()) {
    imports[[row[[1]]]] <- row$imports
  }
  all <- packages
  repeat {
    more <- unique(c(all, unlist(imports[all])))
    if (length(more) == length(all)) {
      break
    }
    all <- more
  }
  version <- vapply(all, function(p) if (is.null(versions[[p]])) "1.0" else versions[[p]], "")
  needs <- data.frame(
    package = all,
    version = unname(version),
    source = rep("repository", length(all)),
    repository = rep(repository, length(all)),
    remote = "",
    commit = "",
    subdirectory = "",
    archive = NA_character_,
    dependencies = vapply(all, function(p) paste(imports[[p]], collapse = ", "), ""),
    reason = "named"
  )
  attr(needs, "repositories") <- c(TESTS = repository)
  needs
}

# From here on sessions need this; libraries are unpacked in a place of the test's own.
local_needs <- function(needs, env = parent.frame()) {
  withr::local_options(starburst.environment_needs = needs, .local_envir = env)
}

local_hosts <- function(env = parent.frame()) {
  place <- withr::local_tempdir("host", .local_envir = env)
  withr::local_envvar(TMPDIR = place, .local_envir = env)
  place
}

# What packages say of themselves, which a worker is asked to tell.
says <- function(...) vapply(c(...), function(package) getExportedValue(package, "hello")(), "")

# What was built in the store, in the order in which it was: how many packages each has, and how many were installed for it.
built <- function() {
  config <- starburst:::native_config(starburst:::place_settings(), detached = TRUE)
  rows <- as.data.frame(starburst:::unwrap_native(starburst:::rs_libraries(config)))
  rows[order(rows$built_at), ]
}

# Where workers of this host keep unpacked libraries.
host_folder <- function(host) {
  list.files(host, "^starburst-libraries-", full.names = TRUE)
}

# Processes of workers that install just now.
installing <- function(host) {
  folders <- list.dirs(host_folder(host), recursive = FALSE)
  workers <- sub("^build-", "", grep("^build-", basename(folders), value = TRUE))
  unlist(lapply(workers, function(worker) {
    pattern <- paste0("[s]tarburst-worker .*--worker ", worker)
    suppressWarnings(as.integer(system2("pgrep", c("-f", shQuote(pattern)), stdout = TRUE)))
  }))
}

# The packages that a build has installed so far.
installed_so_far <- function(host) {
  folders <- list.dirs(host_folder(host), recursive = FALSE)
  builds <- folders[grepl("^build-", basename(folders))]
  list.files(file.path(builds, "library"), "^sb")
}

# What says of each package in each unpacked library that it is whole.
whole_packages <- function(host) {
  folders <- list.dirs(host_folder(host), recursive = FALSE)
  folders <- folders[!grepl("^build-|[.]partial$", basename(folders))]
  packages <- list.dirs(folders, recursive = FALSE)
  file.path(packages, "Meta", "package.rds")
}

forget_quietly <- function() suppressMessages(starburst_rebuild_environment(launch_type = "LOCAL"))

# What a session's workers say of these packages.
ask <- function(session, packages) {
  id <- session$submit(says(packages), globals = list(says = says, packages = packages))
  unname(unlist(session$collect(id, wait = TRUE, timeout = 120)))
}

session_with <- function(needs, env = parent.frame(), ...) {
  local_needs(needs, env)
  if (!is.null(s3_server()) && is.null(getOption("starburst.lease"))) {
    # Looks follow the lease: with S3 a build is looked at every 15 s otherwise.
    withr::local_options(starburst.lease = 15, .local_envir = env)
  }
  local_session(environment = "auto", ..., env = env)
}
