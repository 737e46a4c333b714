# Packages that look installed: a DESCRIPTION in a library of the test.
local_library <- function(env = parent.frame()) {
  library <- withr::local_tempdir("library", .local_envir = env)
  withr::local_libpaths(library, action = "prefix", .local_envir = env)
  library
}

fake_package <- function(folder, package, version = "1.0.0", ...) {
  path <- file.path(folder, package)
  dir.create(path, recursive = TRUE, showWarnings = FALSE)
  fields <- c(Package = package, Version = version, ...)
  writeLines(paste0(names(fields), ": ", fields), file.path(path, "DESCRIPTION"))
  path
}

# A package that can be built and installed.
source_package <- function(folder, package, version = "1.0.0", code = "answer <- function() 42", ...) {
  author <- c(
    Title = "A Package of the Tests",
    Author = "Nobody",
    Maintainer = "Nobody <nobody@example.org>",
    Description = "Nothing.",
    License = "Apache License 2.0"
  )
  path <- fake_package(folder, package, version, author, ...)
  dir.create(file.path(path, "R"), showWarnings = FALSE)
  writeLines(code, file.path(path, "R", "code.R"))
  writeLines("exportPattern(\"^[a-z]\")", file.path(path, "NAMESPACE"))
  path
}

needs_here <- function(...) starburst:::environment_needs(..., call = quote(test()))
