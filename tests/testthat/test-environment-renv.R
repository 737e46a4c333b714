# A project whose lock file renv itself wrote.

# Makes a project that uses these packages, in a library of its own, and has renv write its lock file; returns its folder.
renv_project <- function(packages, env = parent.frame()) {
  project <- withr::local_tempdir("project", .local_envir = env)
  out <- run_r(c(
    sprintf("project <- %s", deparse1(project)),
    "library <- file.path(project, 'library'); dir.create(library); .libPaths(library)",
    sprintf(
      "options(repos = c(TESTS = 'file://%s'), renv.consent = TRUE, pkgType = 'source')",
      test_repository()
    ),
    sprintf("utils::install.packages(%s, library, quiet = TRUE)", deparse1(packages)),
    "renv::snapshot(project, library = library, type = 'all', prompt = FALSE, force = TRUE)"
  ))
  lock <- file.path(project, "renv.lock")
  if (!file.exists(lock)) {
    stop("renv wrote no lock file: ", paste(out, collapse = "\n"))
  }
  project
}

test_that("workers have what the lock file of a project says, and the second session installs nothing", {
  # It is not loaded here: that would ask repositories on the network.
  skip_if(system.file(package = "renv") == "", "renv is not installed")
  local_store()
  local_hosts()
  project <- renv_project(c("sbtop", "sbfive"))
  withr::local_dir(project)
  expect_setequal(
    starburst_environment()$package,
    c("sbtop", "sbleft", "sbright", "sbcode", "sbbase", "sbtext", "sbfive", "sbfour")
  )
  session <- local_session(environment = "auto")
  told <- suppressMessages(ask(session, c("sbtop", "sbtext", "sbfive")))
  expect_equal(told, c("sbtop 1.0", "sbtext 1.1", "sbfive 1.0"))
  expect_equal(built()$installed, 8)
  again <- local_session(environment = file.path(project, "renv.lock"))
  expect_equal(suppressMessages(ask(again, "sbtop")), "sbtop 1.0")
  expect_equal(nrow(built()), 1L)
})
