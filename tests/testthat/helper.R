# Every test works in a store of its own, and leaves no plan behind.
local_store <- function(env = parent.frame()) {
  directory <- withr::local_tempdir("store", .local_envir = env)
  withr::local_options(starburst.directory = directory, .local_envir = env)
  directory
}

local_plan <- function(..., env = parent.frame()) {
  old <- future::plan("list")
  withr::defer(
    {
      future::plan(old)
      stop_fleets()
    },
    envir = env
  )
  future::plan(...)
}

# What a change of plan does on current versions of future, and R's end on older ones.
stop_fleets <- function() {
  fleets <- starburst:::the$fleets
  for (key in ls(fleets)) {
    starburst:::fleet_stop(fleets[[key]])
  }
}

local_session <- function(..., workers = 2, env = parent.frame()) {
  # Should the test's process die, the workers leave soon.
  session <- starburst_session(workers = workers, launch_type = "LOCAL", session_timeout = 60, ...)
  withr::defer(try(session$cleanup(force = TRUE), silent = TRUE), envir = env)
  session
}

# Polls for something that must happen; fails when it does not.
wait_for <- function(condition, seconds = 30) {
  end <- Sys.time() + seconds
  while (!condition()) {
    if (Sys.time() > end) {
      stop("waited in vain for ", deparse(substitute(condition)))
    }
    Sys.sleep(0.02)
  }
}

# Runs code in an R process of its own and returns what it printed.
run_r <- function(code, wait = TRUE, env = character()) {
  script <- tempfile(fileext = ".R")
  directory <- getOption("starburst.directory")
  writeLines(
    c(
      sprintf(".libPaths(c(%s))", paste0(encodeString(.libPaths(), quote = "\""), collapse = ", ")),
      if (!is.null(directory)) {
        sprintf("options(starburst.directory = %s)", encodeString(directory, quote = "\""))
      },
      "library(starburst)",
      code
    ),
    script
  )
  out <- tempfile(fileext = ".txt")
  # A shell makes what it starts in the background deaf to Ctrl-C, which some versions of R respect.
  rscript <- c("--default-signal=INT", file.path(R.home("bin"), "Rscript"))
  system2("env", c(rscript, "--vanilla", script), stdout = out, stderr = out, wait = wait, env = env)
  if (wait) readLines(out, warn = FALSE) else out
}

worker_pids <- function(session) {
  # The brackets keep the shell that runs pgrep from finding itself.
  pattern <- paste0("[s]tarburst-worker .*--session ", session)
  suppressWarnings(as.integer(system2("pgrep", c("-f", shQuote(pattern)), stdout = TRUE)))
}

fleet_session <- function() {
  fleets <- starburst:::the$fleets
  handles <- Filter(Negate(is.null), lapply(ls(fleets), function(key) fleets[[key]]$handle))
  starburst:::rs_session_id(handles[[1]])
}
