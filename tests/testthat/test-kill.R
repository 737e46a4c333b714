# Whatever is killed, nothing is lost and no result comes twice.

kill_at_random <- function(pids) {
  pids <- pids[!is.na(pids)]
  if (length(pids)) tools::pskill(pids[[sample.int(length(pids), 1L)]], tools::SIGKILL)
}

test_that("workers and their R may be killed at any moment, ten times over", {
  local_store()
  withr::local_options(starburst.max_attempts = 50)
  session <- local_session(workers = 2)
  ids <- session$map(1:200, function(i) {
    Sys.sleep(0.05)
    i * 2
  })
  wait_for(function() session$status()$completed > 0)
  kills <- 0
  # Every attach and status keeps the fleet at work; the moments differ from run to run.
  while (kills < 10) {
    victims <- if (kills %% 2 == 0) worker_pids(session$id) else r_children(session$id)
    if (isTRUE(kill_at_random(victims))) {
      kills <- kills + 1
    }
    before <- session$status()$completed
    try(session$collect(wait = TRUE, timeout = 0.2, progress = FALSE), silent = TRUE)
    s <- session$status()
    expect_identical(s$pending + s$running + s$completed + s$failed + s$cancelled, 200)
    expect_gte(s$completed, before)
    if (s$completed == 200) break
  }
  expect_gte(kills, 8)
  out <- session$collect(wait = TRUE, timeout = 120)
  expect_named(out, ids)
  expect_equal(unname(unlist(out)), (1:200) * 2)
})

test_that("the client may be killed, and another collects what it had submitted", {
  local_store()
  for (moment in c(0, 0.05, 0.3)) {
    file <- withr::local_tempfile()
    out <- run_r(
      c(
        "s <- starburst_session(workers = 2, launch_type = 'LOCAL')",
        "s$map(1:30, function(i) { Sys.sleep(0.02); i })",
        "s$flush()",
        sprintf("cat(s$id, Sys.getpid(), file = '%s.tmp'); file.rename('%s.tmp', '%s')", file, file, file),
        "Sys.sleep(60)"
      ),
      wait = FALSE
    )
    wait_for(function() file.exists(file))
    Sys.sleep(moment)
    made <- scan(file, "", quiet = TRUE)
    tools::pskill(as.integer(made[[2]]), tools::SIGKILL)
    session <- starburst_session_attach(made[[1]])
    expect_equal(unname(unlist(session$collect(wait = TRUE, timeout = 60))), 1:30)
    session$cleanup(force = TRUE)
  }
})

test_that("the workers of a plan end with the R that owns it, even by SIGKILL", {
  store <- local_store()
  file <- withr::local_tempfile()
  run_r(
    c(
      "library(future)",
      "plan(starburst, workers = 1, launch_type = 'LOCAL')",
      "value(future(1)); f <- future(Sys.sleep(600)); Sys.sleep(0.5)",
      sprintf("cat(Sys.getpid(), file = '%s.tmp'); file.rename('%s.tmp', '%s')", file, file, file),
      "Sys.sleep(60)"
    ),
    wait = FALSE
  )
  wait_for(function() file.exists(file))
  session <- store_sessions(store)
  expect_length(worker_pids(session), 1)
  children <- r_children(session)
  expect_length(children, 1)
  tools::pskill(scan(file, 0L, quiet = TRUE), tools::SIGKILL)
  wait_for(function() length(worker_pids(session)) == 0)
  wait_for(function() !tools::pskill(children, 0))
})

test_that("the workers of a plan end when R ends", {
  store <- local_store()
  out <- run_r(c(
    "library(future)",
    "plan(starburst, workers = 1, launch_type = 'LOCAL')",
    "cat(value(future('ran')))"
  ))
  expect_identical(utils::tail(out, 1), "ran")
  expect_length(store_keys(store), 0)
})
