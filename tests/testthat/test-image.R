# Images: what is said before a registry is asked, where the worker comes from, and the packages that go along. What is
# pushed is tested in Rust, and by tools/test-image.sh.

elf <- function(machine) as.raw(c(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, rep(0, 11), machine, 0, 1, 2, 3))
other_architecture <- setdiff(c("amd64", "arm64"), starburst:::this_architecture())[[1]]

# A place of releases: an archive with a worker, and its checksum.
local_release <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  name <- starburst:::worker_archive(other_architecture)
  withr::with_dir(folder, {
    writeBin(elf(0xb7), "starburst-worker")
    utils::tar(name, "starburst-worker", compression = "gzip", tar = "internal")
    unlink("starburst-worker")
    writeLines(paste(starburst:::sha256_of(name, NULL), "", name), paste0(name, ".sha256"))
  })
  withr::local_options(starburst.worker_url = paste0("file://", folder), .local_envir = env)
  withr::local_envvar(R_USER_CACHE_DIR = withr::local_tempdir(.local_envir = env), .local_envir = env)
  folder
}

test_that("what is wrong is said with what is allowed, before anything is asked", {
  input <- function(...) expect_error(starburst_image_build(...), class = "starburst_error_invalid_input")
  expect_match(conditionMessage(input(architectures = "sparc")), "\"amd64\", \"arm64\" or both", fixed = TRUE)
  expect_match(conditionMessage(input(architectures = c("arm64", "arm64"))), "each once", fixed = TRUE)
  expect_match(
    conditionMessage(input(push_to = "NO/Image")),
    "`push_to` must be the name of an image",
    fixed = TRUE
  )
  expect_match(conditionMessage(input(push_to = "a/b:c", base = "a b")), "`base` must be", fixed = TRUE)
  expect_match(conditionMessage(input(push_to = "a/b", worker = "/no/where")), "that exists", fixed = TRUE)
  cnd <- input(push_to = "a/b", architectures = c("amd64", "arm64"), packages = c(amd64 = "none"))
  expect_match(conditionMessage(cnd), "one for each of `architectures`", fixed = TRUE)
  cnd <- input(push_to = "a/b", login = c(name = "me", password = "secret"))
  expect_match(conditionMessage(cnd), "c(user = , password = )", fixed = TRUE)
  expect_no_match(conditionMessage(cnd), "secret")
})

test_that("without a stack and without push_to it says what to do", {
  local_config()
  expect_error(starburst_image_build(), class = "starburst_error_not_set_up")
})

test_that("where there is no worker for an architecture it says where to get one", {
  withr::local_options(starburst.worker_url = NULL)
  cnd <- expect_error(
    starburst_image_build(push_to = "a/b", architectures = other_architecture),
    class = "starburst_error_invalid_input"
  )
  expect_match(conditionMessage(cnd), "tools/build-workers.sh", fixed = TRUE)
  expect_match(conditionMessage(cnd), "starburst.worker_url", fixed = TRUE)
})

test_that("a release's worker is downloaded once, compared with its checksum, and unpacked", {
  folder <- local_release()
  found <- function() {
    into <- withr::local_tempdir(.local_envir = parent.frame())
    starburst:::find_workers(NULL, other_architecture, into, NULL)
  }
  expect_identical(readBin(found(), "raw", 100), elf(0xb7))
  name <- starburst:::worker_archive(other_architecture)
  kept <- file.path(tools::R_user_dir("starburst", "cache"), name)
  expect_true(file.exists(kept))
  # The kept one is taken while it is right, and fetched again when it is not.
  unlink(file.path(folder, name))
  expect_identical(readBin(found(), "raw", 100), elf(0xb7))
  writeLines("damaged", kept)
  expect_error(found(), class = "starburst_error_unavailable")
  writeLines("something else", file.path(folder, name))
  cnd <- expect_error(found(), class = "starburst_error_data")
  expect_match(conditionMessage(cnd), name, fixed = TRUE)
})

test_that("a folder has workers by their names", {
  folder <- withr::local_tempdir()
  given <- function() starburst:::given_worker(folder, "arm64", folder, NULL)
  expect_error(given(), "starburst-worker-arm64", fixed = TRUE, class = "starburst_error_invalid_input")
  writeBin(elf(0xb7), file.path(folder, "starburst-worker-arm64"))
  expect_identical(given(), file.path(folder, "starburst-worker-arm64"))
})

# A repository of packages, as binary ones or as sources.
local_repository <- function(binary, env = parent.frame()) {
  repository <- withr::local_tempdir(.local_envir = env)
  contrib <- file.path(repository, "__linux__", "noble", "src", "contrib")
  dir.create(contrib, recursive = TRUE)
  packages <- withr::local_tempdir()
  for (name in c("future", "needed")) {
    dir.create(file.path(packages, name))
    fields <- list(
      Package = name,
      Version = "9.0",
      Imports = if (name == "future") "needed, stats" else "stats",
      Built = if (binary) "R 4.5.1; ; 2026-11-01; unix"
    )
    write.dcf(Filter(Negate(is.null), fields), file.path(packages, name, "DESCRIPTION"))
    archive <- file.path(contrib, paste0(name, "_9.0.tar.gz"))
    withr::with_dir(packages, utils::tar(archive, name, compression = "gzip", tar = "internal"))
  }
  tools::write_PACKAGES(contrib, type = "source")
  paste0("file://", repository, "/__linux__/noble")
}

test_that("a base that names a repository of binary packages gets future and what it needs from there", {
  repository <- local_repository(binary = TRUE)
  folder <- withr::local_tempdir()
  env <- c(R_VERSION = "4.5.1", CRAN = repository)
  library <- starburst:::auto_library("arm64", env, folder, NULL)
  expect_setequal(list.files(library), c("future", "needed"))
  expect_true(file.exists(file.path(library, "needed", "DESCRIPTION")))
  expect_length(list.files(sub("file://", "", repository), "tar.gz", recursive = TRUE), 2)
})

test_that("sources are not taken for binary packages, and a repository without future is told", {
  env <- c(R_VERSION = "4.5.1", CRAN = local_repository(binary = FALSE))
  cnd <- expect_error(
    starburst:::auto_library("amd64", env, withr::local_tempdir(), NULL),
    class = "starburst_error_unavailable"
  )
  expect_match(conditionMessage(cnd), "sources of", fixed = TRUE)
  env[["CRAN"]] <- paste0("file://", withr::local_tempdir(), "/__linux__/none")
  expect_error(
    starburst:::auto_library("amd64", env, withr::local_tempdir(), NULL),
    class = "starburst_error_unavailable"
  )
})

test_that("a base with this R gets copies of this R's packages, and another one says that it must have future", {
  skip_if_not(starburst:::is_linux(), "only Linux has packages for an image")
  env <- c(R_BASE_VERSION = as.character(getRversion()))
  library <- starburst:::auto_library(starburst:::this_architecture(), env, withr::local_tempdir(), NULL)
  expect_true(all(c("future", "globals", "parallelly", "digest") %in% list.files(library)))
  expect_false("stats" %in% list.files(library))
  said <- capture_messages({
    none <- starburst:::auto_library(
      starburst:::this_architecture(),
      c(R_VERSION = "3.0.0"),
      withr::local_tempdir(),
      NULL
    )
  })
  expect_identical(none, "")
  expect_match(said, "must have the package future", fixed = TRUE, all = FALSE)
})

test_that("a base on a registry that nobody answers is told with its address", {
  port <- parallelly::freePort()
  worker <- withr::local_tempfile()
  writeBin(elf(0x3e), worker)
  place <- paste0("127.0.0.1:", port)
  refuses <- function(base) {
    starburst_image_build(
      base = base,
      push_to = paste0(place, "/w:1"),
      worker = worker,
      packages = "none",
      region = "us-east-1"
    )
  }
  withr::local_options(starburst.quiet = TRUE)
  cnd <- expect_error(refuses(paste0(place, "/r:1")), class = "starburst_error_unavailable")
  expect_match(conditionMessage(cnd), place, fixed = TRUE)
})
