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

test_that("foreach runs on it, with %dofuture% and with %dopar%", {
  skip_if_not_installed("doFuture", "1.0.0")
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  foreach <- foreach::foreach
  `%dofuture%` <- doFuture::`%dofuture%`
  `%dopar%` <- foreach::`%dopar%`
  offset <- 10
  found <- foreach(i = 1:4, .combine = c) %dofuture% (i + offset)
  expect_identical(found, 1:4 + offset)
  elsewhere <- foreach(i = 1:2, .combine = c) %dofuture% Sys.getpid()
  expect_false(Sys.getpid() %in% elsewhere)
  random <- function() foreach(i = 1:3, .combine = c, .options.future = list(seed = TRUE)) %dofuture% rnorm(1)
  set.seed(1)
  first <- random()
  set.seed(1)
  expect_identical(random(), first)
  # Newer versions of doFuture warn that they cancel the other iterations.
  expect_error(suppressWarnings(foreach(i = 1:3) %dofuture% if (i == 2) stop("two") else i), "two")
  doFuture::registerDoFuture()
  withr::defer(foreach::registerDoSEQ())
  expect_identical(foreach(i = 1:4, .combine = c) %dopar% (i * offset), 1:4 * offset)
})

test_that("what futurize() makes of lapply() runs on it", {
  skip_if_not_installed("futurize")
  skip_if_not_installed("future.apply")
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  found <- lapply(1:3, function(i) Sys.getpid()) |> futurize::futurize()
  expect_false(Sys.getpid() %in% unlist(found))
  expect_identical(lapply(1:3, function(i) i^2) |> futurize::futurize(), lapply(1:3, function(i) i^2))
})

test_that("outputs of a Shiny application come from its workers", {
  skip_if_not_installed("shiny")
  skip_if_not_installed("promises")
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  server <- function(input, output, session) {
    output$sum <- shiny::renderText({
      n <- input$n
      promises::then(promises::future_promise(list(sum(seq_len(n)), Sys.getpid())), function(found) {
        paste(found[[1]], found[[2]] != Sys.getpid())
      })
    })
  }
  shiny::testServer(server, {
    session$setInputs(n = 4)
    expect_identical(output$sum, "10 TRUE")
    session$setInputs(n = 5)
    expect_identical(output$sum, "15 TRUE")
  })
})

test_that("an ExtendedTask of Shiny runs on it, and its errors come back", {
  skip_if_not_installed("shiny", "1.8.1")
  skip_if_not_installed("promises")
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  server <- function(input, output, session) {
    task <- shiny::ExtendedTask$new(function(n) {
      promises::future_promise(if (n < 0) stop("below zero") else sum(seq_len(n)))
    })
  }
  ends_as <- function(task, status) {
    wait_for(function() {
      later::run_now(0.05)
      identical(shiny::isolate(task$status()), status)
    })
  }
  shiny::testServer(server, {
    task$invoke(4)
    ends_as(task, "success")
    expect_identical(shiny::isolate(task$result()), 10L)
    task$invoke(-1)
    # Shiny warns of the error too.
    suppressWarnings(ends_as(task, "error"))
    expect_error(shiny::isolate(task$result()), "below zero")
  })
})

test_that("chunks of a knitr document run on it, with what futures print and say", {
  skip_if_not_installed("knitr")
  local_store()
  # The document changes the plan of this R.
  local_plan(future::sequential)
  document <- c(
    "```{r}",
    "library(starburst)",
    "plan(starburst, workers = 1, launch_type = 'LOCAL')",
    "x <- 6",
    "f <- future::future({",
    "  print('printed there')",
    "  message('said there')",
    "  x * 7",
    "})",
    "future::value(f)",
    "future::value(future::future(Sys.getpid())) == Sys.getpid()",
    "plan(sequential)",
    "```"
  )
  made <- knitr::knit(text = document, quiet = TRUE, envir = new.env(parent = globalenv()))
  for (part in c("## [1] \"printed there\"", "## said there", "## [1] 42", "## [1] FALSE")) {
    expect_match(made, part, fixed = TRUE)
  }
})

test_that("functions of parallel map on a cluster of futures", {
  skip_if_not(
    exists("makeClusterFuture", envir = asNamespace("future"), inherits = FALSE),
    "this future has no makeClusterFuture()"
  )
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  cluster <- getExportedValue("future", "makeClusterFuture")()
  expect_identical(
    parallel::parLapply(cluster, 1:4, function(i, by) i * by, by = 2),
    lapply(1:4, function(i) i * 2)
  )
  expect_identical(parallel::parSapply(cluster, 1:4, sqrt), sapply(1:4, sqrt))
  expect_identical(parallel::clusterMap(cluster, `+`, 1:3, 4:6), Map(`+`, 1:3, 4:6))
  elsewhere <- parallel::parSapply(cluster, 1:2, function(i) Sys.getpid())
  expect_false(Sys.getpid() %in% elsewhere)
})
