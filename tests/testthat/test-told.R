# Messages to the user: uncaught errors, misspelt arguments, and the state of a session's tasks.

# The end of what a script prints that fails with nobody to catch the error.
uncaught <- function(code) {
  out <- run_r(code)
  paste(out, collapse = "\n")
}

test_that("an uncaught error of every front door shows the user's own message, and no error of a package", {
  local_store()
  on_this_machine <- "workers = 1, launch_type = 'LOCAL'"
  codes <- c(
    map = sprintf("starburst_map(1:2, function(x) stop('my own error'), %s)", on_this_machine),
    rlang = sprintf("starburst_map(1:2, function(x) rlang::abort('my own error'), %s)", on_this_machine),
    trace = sprintf(
      "starburst_map(1, function(x) stop(structure(class = c('mine', 'error', 'condition'), %s)), %s)",
      "list(message = 'my own error', call = NULL, trace_id = 7, m = 1)",
      on_this_machine
    ),
    cluster = sprintf(
      "cl <- starburst_cluster(%s); cl$map(1, function(x) stop('my own error'))",
      on_this_machine
    ),
    result = sprintf("s <- starburst_session(%s); s$result(s$submit(stop('my own error')))", on_this_machine),
    future = sprintf(
      "plan(starburst, %s); future::value(future::future(stop('my own error')))",
      on_this_machine
    )
  )
  for (attached in c("", "library(rlang); ")) {
    for (door in names(codes)) {
      said <- uncaught(paste0(attached, codes[[door]]))
      expect_match(said, "my own error", fixed = TRUE, label = door)
      expect_no_match <- function(text) {
        expect_false(grepl(text, said, fixed = TRUE), label = paste(door, text))
      }
      expect_no_match("trace_length")
      expect_no_match("payload$expr")
      expect_no_match("invalid argument type")
    }
  }
})

test_that("a slip of the pen in an argument is refused, unless the function has an argument of that name", {
  slip <- function(...) starburst_map(1:2, function(x, ...) x, ..., workers = 1, launch_type = "LOCAL")
  for (args in list(list(max_hourly_costs = 5), list(wrokers = 5), list(seed = 1), list(progres = TRUE))) {
    cnd <- expect_error(do.call(slip, args), class = "starburst_error_invalid_input")
    expect_identical(cnd$arg, names(args))
  }
  local_store()
  own <- starburst_map(1:2, function(x, seed) x + seed, seed = 1, workers = 1, launch_type = "LOCAL")
  expect_identical(own, list(2, 3))
  session <- local_session(workers = 1)
  expect_error(session$map(1:2, identity, globals = FALSE), class = "starburst_error_invalid_input")
})

test_that("elements are those that lapply() takes", {
  local_store()
  session <- local_session(workers = 1)
  days <- as.Date("2026-01-01") + 0:1
  for (x in list(days, factor(c("a", "b")), data.frame(a = 1:2, b = 3:4), c(p = 1, q = 2), quote(f(x)))) {
    values <- session$collect(session$map(x, identity), wait = TRUE, timeout = 60)
    expect_identical(unname(values), unname(lapply(x, identity)))
  }
  expect_error(session$map(mean, identity), class = "starburst_error_invalid_input")
  expect_identical(starburst_map(NULL, identity, workers = 1, launch_type = "LOCAL"), list())
})

test_that("labels, states and warnings of tasks come back, and failures are told once", {
  local_store()
  session <- local_session(workers = 1)
  expect_identical(session$session_id, session$id)
  session$submit(as.integer("x"), label = "odd")
  session$map(c(first = 1, second = 2), function(x) {
    if (x == 2) {
      warning("once")
      stop("two fails")
    }
    x
  })
  told <- character()
  values <- withCallingHandlers(session$collect(wait = TRUE, timeout = 60), warning = function(cnd) {
    told <<- c(told, class(cnd)[[1]])
    tryInvokeRestart("muffleWarning")
  })
  expect_identical(sort(told), c("simpleWarning", "simpleWarning", "starburst_warning_failed_tasks"))
  expect_identical(attr(values, "labels"), c("odd", "first", "second"))
  expect_no_warning(session$collect())
  # What runs again is news again.
  session$retry()
  expect_warning(
    suppressWarnings(session$collect(wait = TRUE, timeout = 60), classes = "simpleWarning"),
    class = "starburst_warning_failed_tasks"
  )
  again <- starburst_session_attach(session$id)
  tasks <- again$tasks()
  expect_identical(tasks$label, c("odd", "first", "second"))
  expect_identical(tasks$state, c("completed", "completed", "failed"))
  session$cleanup()
  expect_output(print(session), "closed")
  session$cleanup(force = TRUE)
  expect_output(print(session), "deleted")
  expect_error(session$collect(), "was deleted", class = "starburst_error_closed")
})

test_that("idle workers of a plan leave, and come back for the next task", {
  local_store()
  local_plan(starburst, workers = 1, launch_type = "LOCAL", idle_timeout = 1)
  first <- future::value(future::future(Sys.getpid()))
  wait_for(function() length(worker_pids(fleet_session())) == 0L)
  second <- future::value(future::future(Sys.getpid()))
  expect_false(first == second)
})

test_that("tasks and collect() have no time limit unless one is given", {
  for (door in list(starburst_session, starburst_cluster, starburst_map, starburst)) {
    expect_null(formals(door)$timeout)
    expect_identical(formals(door)$idle_timeout, 300)
  }
  expect_identical(
    starburst:::check_settings(
      lapply(formals(starburst_session), eval, list(interactive = FALSE))[
        starburst:::launch_arguments
      ] |>
        replace("launch_type", "LOCAL")
    )$timeout,
    Inf
  )
})
