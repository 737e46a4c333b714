# Packages whose source is on this machine: a folder or a tarball. They travel as one tarball for each content.

is_archive <- function(path) grepl("[.](tar[.]gz|tgz)$", path)

# DESCRIPTION of the source package at this path, or NULL if there is none.
source_description <- function(path) {
  if (dir.exists(path)) {
    fields <- tryCatch(
      read.dcf(file.path(path, "DESCRIPTION"))[1L, ],
      error = function(cnd) NULL,
      warning = function(cnd) NULL
    )
    return(if ("Package" %in% names(fields)) fields)
  }
  if (!is_archive(path) || !file.exists(path)) {
    return(NULL)
  }
  tryCatch(
    {
      member <- grep("^[^/]+/DESCRIPTION$", utils::untar(path, list = TRUE), value = TRUE)
      folder <- tempfile("description")
      on.exit(unlink(folder, recursive = TRUE))
      utils::untar(path, files = member, exdir = folder)
      source_description(dirname(file.path(folder, member[[1L]])))
    },
    error = function(cnd) NULL,
    warning = function(cnd) NULL
  )
}

is_source_of <- function(path, package) {
  fields <- if (nzchar(path)) source_description(path.expand(path))
  identical(field_of(fields, "Package"), package)
}

# Names the content of a source package: what its files hold, not when they were written. A tarball that R makes holds
# the time at which it was made, so it says nothing about that.
content_hash <- function(path) {
  if (!dir.exists(path)) {
    return(unname(tools::md5sum(path)))
  }
  files <- source_files(path)
  rlang::hash(list(files, unname(tools::md5sum(file.path(path, files)))))
}

# What R CMD build never takes.
never_packed <- c(
  "(^|/)[.](git|svn|hg|bzr|Rproj[.]user|Rhistory|RData|DS_Store)$",
  "[.](o|so|dylib|dll|a|sl)$",
  "~$",
  "[.]Rcheck$"
)

# The files of a source package, relative to it, in C's order. Folders that are left out are not looked into: they may be large.
source_files <- function(path) {
  ignore <- file.path(path, ".Rbuildignore")
  patterns <- if (file.exists(ignore)) readLines(ignore, warn = FALSE)
  patterns <- c(patterns[nzchar(patterns)], never_packed)
  left_out <- function(names) {
    Reduce(`|`, lapply(patterns, grepl, x = names, perl = TRUE, ignore.case = TRUE))
  }
  walk <- function(folder) {
    names <- list.files(file.path(path, folder), all.files = TRUE, no.. = TRUE)
    names <- if (nzchar(folder)) file.path(folder, names, fsep = "/") else names
    names <- if (length(names)) names[!left_out(names)] else names
    folders <- dir.exists(file.path(path, names))
    c(names[!folders], unlist(lapply(names[folders], walk)))
  }
  in_order(walk(""))
}

# The tarball of a source package, made once for its content and kept in the user's cache.
source_archive <- function(path, hash, call) {
  if (is_archive(path)) {
    return(normalizePath(path))
  }
  kept <- file.path(tools::R_user_dir("starburst", "cache"), "sources", hash)
  found <- list.files(kept, "[.]tar[.]gz$", full.names = TRUE)
  if (length(found)) {
    return(found[[1L]])
  }
  work <- tempfile("build")
  dir.create(work)
  on.exit(unlink(work, recursive = TRUE))
  said <- build_source(normalizePath(path), work)
  made <- list.files(work, "[.]tar[.]gz$", full.names = TRUE)
  if (length(made) != 1L) {
    starburst_abort(
      c(
        sprintf("the package in `%s` cannot be built", path),
        rlang::set_names(utils::tail(said, 8L), rep("x", min(8L, length(said)))),
        i = "`R CMD build --no-build-vignettes` shows the same"
      ),
      kind = "environment",
      call = call
    )
  }
  dir.create(kept, recursive = TRUE, showWarnings = FALSE)
  # Another R may have put it there meanwhile; copied under another name, so that nobody finds a part of it.
  part <- tempfile("part", tmpdir = kept)
  file.copy(made, part)
  final <- file.path(kept, basename(made))
  file.rename(part, final)
  final
}

build_source <- function(path, folder) {
  old <- setwd(folder)
  on.exit(setwd(old))
  r <- file.path(R.home("bin"), "R")
  args <- c("CMD", "build", "--no-build-vignettes", "--no-manual", shQuote(path))
  suppressWarnings(system2(r, args, stdout = TRUE, stderr = TRUE))
}
