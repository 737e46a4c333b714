# An R that never returns, does not care for signals, leaves children behind, or wants more memory than there is.

test_that("a task that never returns and ignores Ctrl-C is ended by its time limit, and only it", {
  local_store()
  session <- local_session(workers = 1, timeout = 2)
  slow <- session$submit(
    repeat {
      tryCatch(Sys.sleep(60), interrupt = function(cnd) NULL)
    }
  )
  fast <- session$submit(quote(1 + 1))
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_s3_class(out[[slow]], "starburst_error_timeout")
  expect_identical(out[[fast]], 2)
})

test_that("children that a task left behind end with its R, and the next task does not meet them", {
  skip_on_os("windows")
  local_store()
  session <- local_session(workers = 1)
  file <- withr::local_tempfile()
  id <- session$submit({
    job <- parallel::mcparallel(Sys.sleep(600))
    writeLines(as.character(job$pid), file)
    "left a child"
  })
  expect_identical(session$result(id, timeout = 60), "left a child")
  expect_identical(session$result(session$submit(quote("next")), timeout = 60), "next")
  child <- as.integer(readLines(file))
  session$cleanup(force = TRUE)
  wait_for(function() !tools::pskill(child, 0))
  expect_length(worker_pids(session$id), 0)
})

test_that("more memory than there is is the task's own error, and a killed R is told as such", {
  local_store()
  session <- local_session(workers = 1)
  greedy <- session$submit(length(numeric(1e15)))
  fine <- session$submit(quote(1 + 1))
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_match(out[[greedy]]$message, "cannot allocate|too large|vector memory")
  expect_identical(out[[fine]], 2)
})

test_that("an R that is killed for its memory again and again fails its task with the reason, and no other", {
  skip_if_not(nzchar(Sys.which("prlimit")), "needs prlimit, to give one process little memory")
  local_store()
  session <- local_session(workers = 1)
  hungry <- session$submit({
    system2("prlimit", c("--pid", Sys.getpid(), "--as=600000000"))
    x <- list()
    repeat {
      x[[length(x) + 1L]] <- runif(1e6)
    }
  })
  fine <- session$submit(quote(1 + 1))
  out <- session$collect(wait = TRUE, timeout = 120)
  # R itself may still say so, or be too short of memory for that.
  expect_true(inherits(out[[hungry]], "condition"))
  expect_true(out[[hungry]]$error)
  expect_identical(out[[fine]], 2)
})
