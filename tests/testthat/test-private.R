# Other users of the machine: what they can read, and what they can prepare for a victim.

needs_another_user <- function() {
  skip_on_s3("it is about files")
  skip_if_not(Sys.info()[["effective_user"]] == "root", "becoming another user needs root")
  skip_if_not(nzchar(Sys.which("setpriv")), "becoming another user needs setpriv")
}

# Runs a shell command as a user that owns nothing; returns its exit code.
as_nobody <- function(command) {
  arguments <- c("--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", shQuote(command))
  suppressWarnings(system2("setpriv", arguments, stdout = FALSE, stderr = FALSE))
}

test_that("nobody else reads a store, its logs or the folder of a worker's R", {
  needs_another_user()
  # A folder that everybody may enter, as /tmp is.
  shared <- withr::local_tempdir()
  Sys.chmod(c(dirname(shared), shared), "0777", use_umask = FALSE)
  withr::defer(Sys.chmod(dirname(shared), "0700"))
  store <- file.path(shared, "store")
  withr::local_options(starburst.store = store)
  withr::local_envvar(TMPDIR = shared, SB_PASSWORD = "secret")
  old <- Sys.umask("000")
  withr::defer(Sys.umask(old))
  withr::local_options(starburst.envvars = "SB_PASSWORD")
  session <- local_session(workers = 1)
  session$submit(quote(1 + 1))
  folder <- session$submit(quote(Sys.getenv("TMPDIR")))
  folder <- session$collect(folder, wait = TRUE, timeout = 60)[[1]]
  files <- list.files(store, recursive = TRUE, all.files = TRUE, full.names = TRUE)
  expect_gt(length(files), 5)
  expect_identical(unique(as.character(file.mode(files))), "600")
  folders <- list.dirs(store)
  expect_identical(unique(as.character(file.mode(folders))), "700")
  expect_identical(as.character(file.mode(folder)), "700")
  expect_false(as_nobody(sprintf("cat %s", shQuote(files[[1]]))) == 0)
  expect_false(as_nobody(sprintf("ls %s", shQuote(folder))) == 0)
  # The name of the folder cannot be known before.
  expect_match(basename(folder), "^starburst-worker-[A-Za-z0-9]{16}$")
})

test_that("folders for all workers of a user are refused where somebody else made them", {
  needs_another_user()
  shared <- withr::local_tempdir()
  Sys.chmod(c(dirname(shared), shared), "0777", use_umask = FALSE)
  withr::defer(Sys.chmod(dirname(shared), "0700"))
  for (name in c("starburst-libraries-0", "starburst-chunks-0")) {
    expect_identical(as_nobody(sprintf("mkdir -m 777 %s", shQuote(file.path(shared, name)))), 0L)
  }
  withr::local_envvar(TMPDIR = shared)
  withr::local_options(starburst.store = file.path(shared, "store"))
  session <- local_session(workers = 1)
  id <- session$submit(quote(1 + 1))
  expect_identical(unname(session$collect(id, wait = TRUE, timeout = 60)), list(2))
  expect_identical(
    list.files(file.path(shared, c("starburst-libraries-0", "starburst-chunks-0"))),
    character()
  )
})

test_that("a store in a folder that its group may write is the group's", {
  needs_another_user()
  shared <- withr::local_tempdir()
  Sys.chmod(dirname(shared), "0755", use_umask = FALSE)
  withr::defer(Sys.chmod(dirname(shared), "0700"))
  Sys.chmod(shared, "2770", use_umask = FALSE)
  withr::local_options(starburst.store = shared)
  session <- local_session(workers = 1)
  session$submit(quote(1 + 1))
  session$collect(wait = TRUE, timeout = 60)
  files <- list.files(file.path(shared, "sessions"), recursive = TRUE, full.names = TRUE)
  expect_identical(unique(as.character(file.mode(files))), "660")
  expect_identical(unique(as.character(file.mode(list.dirs(file.path(shared, "sessions"))))), "2770")
})

test_that("a worker and its R keep none of the client's files open", {
  skip_on_s3("the same with any store")
  skip_if_not(dir.exists("/proc/self/fd"), "needs /proc")
  local_store()
  secret <- withr::local_tempfile(lines = "of the client")
  open <- file(secret, "r")
  withr::defer(close(open))
  session <- local_session(workers = 1)
  id <- session$submit(quote(Sys.readlink(list.files("/proc/self/fd", full.names = TRUE))))
  of_r <- session$collect(id, wait = TRUE, timeout = 60)[[1]]
  worker <- worker_pids(session$id)[[1]]
  of_worker <- Sys.readlink(list.files(sprintf("/proc/%s/fd", worker), full.names = TRUE))
  expect_false(normalizePath(secret) %in% c(of_r, of_worker))
})
