# Ctrl-C returns the prompt within a second, and leaves the session usable.

# Ctrl-C comes `after_s` seconds after the wait began. Workers that are still starting take longer to stop: a map that stops them
# gets `limit_s` seconds.
interrupt_during <- function(setup, wait, after, after_s = 0.7, limit_s = 1) {
  ready <- withr::local_tempfile(.local_envir = parent.frame())
  out <- run_r(
    c(
      setup,
      sprintf("cat(Sys.getpid(), file = '%s.tmp'); file.rename('%s.tmp', '%s')", ready, ready, ready),
      "start <- NULL",
      sprintf("got <- tryCatch({ %s; 'not interrupted' }, interrupt = function(cnd) 'interrupted')", wait),
      "back <- Sys.time()",
      sprintf("sent <- file.mtime('%s.sent')", ready),
      "cat(got, '\\n')",
      sprintf("cat(as.numeric(back) - as.numeric(sent) < %s, '\\n')", limit_s),
      after,
      "cat('end\\n')"
    ),
    wait = FALSE
  )
  wait_for(function() file.exists(ready))
  Sys.sleep(after_s)
  file.create(paste0(ready, ".sent"))
  tools::pskill(scan(ready, 0L, quiet = TRUE), tools::SIGINT)
  wait_for(function() any(readLines(out, warn = FALSE) == "end"), 60)
  trimws(readLines(out, warn = FALSE))
}

test_that("during value()", {
  local_store()
  out <- interrupt_during(
    "library(future); plan(starburst, workers = 1, launch_type = 'LOCAL'); f <- future({ Sys.sleep(2); 'value' })",
    "value(f)",
    "cat(value(f), '\\n')"
  )
  expect_identical(utils::tail(out, 4), c("interrupted", "TRUE", "value", "end"))
})

test_that("during collect(wait = TRUE)", {
  local_store()
  out <- interrupt_during(
    "s <- starburst_session(workers = 1, launch_type = 'LOCAL'); s$submit({ Sys.sleep(2); 'value' })",
    "s$collect(wait = TRUE)",
    "cat(s$collect(wait = TRUE)[[1]], '\\n'); s$cleanup(force = TRUE)"
  )
  expect_identical(utils::tail(out, 4), c("interrupted", "TRUE", "value", "end"))
})

test_that("during starburst_map()", {
  local_store()
  out <- interrupt_during(
    "m <- function(x, f) starburst_map(x, f, workers = 1, launch_type = 'LOCAL')",
    "m(1:3, function(i) Sys.sleep(60))",
    "cat(m('after', identity)[[1]], '\\n')",
    after_s = 2,
    limit_s = 3
  )
  expect_identical(utils::tail(out, 4), c("interrupted", "TRUE", "after", "end"))
})

test_that("during a cluster's map()", {
  local_store()
  out <- interrupt_during(
    "cl <- starburst_cluster(workers = 1, launch_type = 'LOCAL')",
    "cl$map(1:3, function(i) Sys.sleep(60))",
    "cat(cl$map('after', identity)[[1]], '\\n'); cl$shutdown()"
  )
  expect_identical(utils::tail(out, 4), c("interrupted", "TRUE", "after", "end"))
})

test_that("while a large value is serialized, faster than it could be sent", {
  local_store()
  out <- interrupt_during(
    "s <- starburst_session(workers = 1, launch_type = 'LOCAL'); big <- rep(list(rnorm(2e6)), 2000)",
    "s$submit(quote(length(big)), globals = list(big = big))",
    "cat(s$result(s$submit(quote('after'))), '\\n'); s$cleanup(force = TRUE)"
  )
  expect_identical(utils::tail(out, 4), c("interrupted", "TRUE", "after", "end"))
})
