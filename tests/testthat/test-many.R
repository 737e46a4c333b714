test_that("10,000 elements come back complete and in order", {
  x <- starburst_map(1:10000, function(i) i * 2L, workers = 2, launch_type = "LOCAL")
  expect_identical(unlist(x), (1:10000) * 2L)
})

test_that("an element after thousands of others is worth as much as the first", {
  # One worker: its R compiles what evaluates elements once it has served many.
  said <- capture_messages(
    printed <- capture.output(
      left <- starburst_map(
        1:6000,
        function(i) {
          if (i == 5000) {
            cat("printed\n")
            message("said")
          }
          if (i == 5500) {
            stop("bad ", i)
          }
          list(i, stats::runif(1))
        },
        workers = 1,
        launch_type = "LOCAL",
        .on_error = "collect"
      )
    )
  )
  expect_identical(printed, "printed")
  expect_match(said, "said\n", fixed = TRUE)
  expect_identical(lapply(left[-5500], `[[`, 1L), as.list((1:6000)[-5500]))
  expect_length(unique(vapply(left[-5500], `[[`, 0, 2L)), 5999)
  expect_identical(left[[5500]]$task_calls, c(".f(.x)", "stop(\"bad \", i)"))
})

test_that("5,000 tasks submitted in a loop are collected complete and in order, and the counts add up", {
  local_store()
  session <- local_session(workers = 2)
  ids <- character(5000)
  for (i in 1:5000) {
    ids[[i]] <- session$submit(quote(i + 0L))
    if (i %% 1000 == 0) {
      s <- session$status()
      expect_identical(s$total, as.numeric(i))
      expect_identical(s$pending + s$running + s$completed + s$failed + s$cancelled, s$total)
    }
  }
  out <- session$collect(wait = TRUE, timeout = 300)
  expect_identical(names(out), ids)
  expect_identical(unlist(out, use.names = FALSE), 1:5000)
  expect_identical(session$status()$completed, 5000)
})

test_that("2,000 futures of one element each come back complete and in order", {
  skip_if_not_installed("future.apply")
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  x <- future.apply::future_lapply(1:2000, function(i) i + 1L, future.chunk.size = 1)
  expect_identical(unlist(x), 2:2001)
})
