test_that("10,000 elements come back complete and in order", {
  x <- starburst_map(1:10000, function(i) i * 2L, workers = 2, launch_type = "LOCAL")
  expect_identical(unlist(x), (1:10000) * 2L)
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
