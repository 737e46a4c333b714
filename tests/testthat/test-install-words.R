# The scripts that install packages on workers, without a worker: what they ask for, and what they say.

install_scripts <- function() {
  env <- new.env()
  for (script in c("install-fetch.R", "install-words.R")) {
    sys.source(system.file("worker", script, package = "starburst"), envir = env)
  }
  env
}

test_that("a missing system library is named by what to install", {
  scripts <- install_scripts()
  logs <- c(
    "/usr/bin/ld: cannot find -lcurl" = "libcurl4-openssl-dev",
    "xml.c:3:10: fatal error: libxml/tree.h: No such file or directory" = "libxml2-dev",
    "No package 'libxml-2.0' found" = "libxml2-dev",
    "configure: error: gdal-config not found or not executable." = "libgdal-dev",
    "configure: error: libproj or sqlite3 not found in standard or given locations." = "libproj-dev",
    "sf.so: cannot open shared object file: libudunits2.so.0: No such file or directory" = "libudunits2-dev",
    "fatal error: gsl/gsl_rng.h: No such file or directory" = "libgsl-dev",
    "fatal error: fftw3.h: No such file or directory" = "libfftw3-dev",
    "fatal error: hdf5.h: No such file or directory" = "libhdf5-dev",
    "fatal error: sodium.h: No such file or directory" = "libsodium-dev",
    "Package harfbuzz was not found in the pkg-config search path." = "libharfbuzz-dev libfribidi-dev",
    "fatal error: png.h: No such file or directory" = "libpng-dev",
    "configure: error: libpq not found" = "libpq-dev",
    "configure: error: ODBC headers sql.h and sqlext.h not found" = "unixodbc-dev",
    "fatal error: git2.h: No such file or directory" = "libgit2-dev",
    "sh: 1: cmake: not found" = "cmake"
  )
  for (line in names(logs)) {
    log <- c("* installing *source* package 'x' ...", line, "ERROR: configuration failed")
    expect_identical(scripts$system_package(scripts$missing_lines(log)), logs[[line]], info = line)
  }
  said <- scripts$failed_words("x", c("checking", names(logs)[[1]]))
  expect_match(
    said[[1]],
    "package `x` cannot be installed on workers; a system library is missing: install libcurl4"
  )
  expect_identical(utils::tail(said, 1L), names(logs)[[1]])
})

test_that("what is missing and not known is shown, and what is not about the system is not guessed at", {
  scripts <- install_scripts()
  said <- scripts$failed_words("x", "fatal error: strange/thing.h: No such file or directory")
  expect_match(said[[1]], "something of the system is missing: fatal error: strange/thing.h", fixed = TRUE)
  expect_identical(
    scripts$failed_words("x", "Error: object 'y' not found")[[1]],
    "package `x` cannot be installed on workers"
  )
})

test_that("a commit is asked for where it is", {
  archive <- install_scripts()$commit_archive
  expect_identical(
    archive("github", "ann/pkg", "abc1234"),
    "https://github.com/ann/pkg/archive/abc1234.tar.gz"
  )
  expect_identical(
    archive("github", "git.corp.example/ann/pkg", "abc1234"),
    "https://git.corp.example/ann/pkg/archive/abc1234.tar.gz"
  )
  expect_identical(
    archive("gitlab", "group/sub/pkg", "abc1234"),
    "https://gitlab.com/group/sub/pkg/-/archive/abc1234/pkg-abc1234.tar.gz"
  )
})

test_that("binary packages are asked for where a repository has them for the system", {
  scripts <- install_scripts()
  release <- withr::local_tempfile(lines = c("ID=ubuntu", "VERSION_ID=\"24.04\"", "VERSION_CODENAME=noble"))
  expect_identical(scripts$binary_name(release), "noble")
  expect_identical(
    scripts$binary_name(withr::local_tempfile(lines = c("ID=\"rocky\"", "VERSION_ID=\"9.4\""))),
    "rhel9"
  )
  expect_identical(scripts$binary_name(withr::local_tempfile(lines = "ID=arch")), "")
  here <- function(address) scripts$address_here(address, "noble")
  expect_identical(
    here("https://packagemanager.posit.co/cran/latest/"),
    "https://packagemanager.posit.co/cran/__linux__/noble/latest"
  )
  expect_identical(
    here("https://p3m.dev/cran/2026-01-02"),
    "https://p3m.dev/cran/__linux__/noble/2026-01-02"
  )
  expect_identical(here("https://cloud.r-project.org"), "https://cloud.r-project.org")
  expect_identical(scripts$address_here("https://p3m.dev/cran/latest", ""), "https://p3m.dev/cran/latest")
})
