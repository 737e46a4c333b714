# The packages that people use with future run on plan(starburst): one test each, which is skipped where the package is
# not installed.

test_that("library(starburst) alone is enough for a plan and the way back, and hides nothing of future", {
  local_store()
  said <- run_r(c(
    "stopifnot(!'package:future' %in% search())",
    "plan(starburst, workers = 1, launch_type = 'LOCAL')",
    "cat(class(plan())[[3]], future::value(future::future(6 * 7)), '\n')",
    "plan(sequential)",
    "cat(class(plan())[[2]], '\n')",
    "library(future)",
    "plan(starburst, workers = 1, launch_type = 'LOCAL')",
    "cat(value(future(43)), '\n')"
  ))
  expect_identical(trimws(said), c("starburst 42", "sequential", "43"))
})
