test_that("submitted work is collected in order, with values, NULL and errors of one's own class", {
  local_store()
  session <- local_session()
  offset <- 10
  ids <- c(
    session$submit(1 + offset),
    session$submit(quote(NULL)),
    session$submit({
      stop(structure(class = c("my_error", "error", "condition"), list(message = "mine", call = NULL)))
    })
  )
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_named(out, ids)
  expect_identical(out[[1]], 11)
  expect_null(out[[2]])
  expect_s3_class(out[[3]], "my_error")
  expect_s3_class(out[[3]], "starburst_error_task_failed")
  expect_true(out[[3]]$error)
  expect_identical(out[[3]]$message, "mine")
  expect_identical(out[[3]]$task_id, ids[[3]])
  expect_identical(session$result(ids[[1]]), 11)
  expect_error(session$result(ids[[3]]), class = "my_error")
  errors <- session$errors()
  expect_identical(errors$task_id, ids[[3]])
  expect_identical(errors$class, "my_error")
})

test_that("expressions are taken as they were meant", {
  local_store()
  session <- local_session(workers = 1)
  f <- function(i) i * 2
  held <- quote(f(4))
  many <- list(quote(f(5)), quote(f(6)))
  ids <- c(
    session$submit(f(1)),
    session$submit(quote(f(2))),
    session$submit(bquote(f(.(3)))),
    session$submit(held),
    session$submit(many[[1]]),
    session$submit(expression(f(7))),
    vapply(1:3, function(i) session$submit(quote(f(i))), "")
  )
  expect_equal(unname(unlist(session$collect(wait = TRUE, timeout = 60))), c(2, 4, 6, 8, 10, 14, 2, 4, 6))
})

test_that("packages, seeds and labels travel", {
  local_store()
  session <- local_session(workers = 1)
  session$submit(file_ext("a.txt"), packages = "tools", label = "title")
  a <- session$submit(rnorm(2), seed = 42)
  b <- session$submit(rnorm(2), seed = 42)
  before <- globalenv()$.Random.seed
  c <- session$submit(rnorm(2), seed = TRUE)
  # One number was drawn for it.
  expect_false(identical(globalenv()$.Random.seed, before))
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_identical(out[[1]], "txt")
  expect_identical(out[[a]], out[[b]])
  expect_false(identical(out[[a]], out[[c]]))
})

test_that("another R process collects what one that has ended submitted, and its workers go on", {
  local_store()
  out <- run_r(c(
    "s <- starburst_session(workers = 2, launch_type = 'LOCAL')",
    "s$map(1:6, function(i) { Sys.sleep(0.3); i^2 })",
    "cat(s$id)"
  ))
  id <- utils::tail(out, 1)
  expect_match(id, "^[0-9a-z]+$")
  session <- starburst_session_attach(id)
  withr::defer(session$cleanup(force = TRUE))
  expect_gt(length(worker_pids(id)), 0)
  expect_equal(unname(unlist(session$collect(wait = TRUE, timeout = 60))), (1:6)^2)
  expect_identical(starburst_list_sessions()$session_id, id)
})

test_that("clients that are attached at once see each other's tasks", {
  local_store()
  one <- local_session(workers = 1)
  two <- starburst_session_attach(one$id)
  a <- one$submit(quote(1 + 0))
  one$flush()
  b <- two$submit(quote(2 + 0))
  two$flush()
  expect_equal(one$collect(wait = TRUE, timeout = 60), stats::setNames(list(1, 2), c(a, b)))
  expect_equal(two$collect(wait = TRUE, timeout = 60), stats::setNames(list(1, 2), c(a, b)))
})

test_that("the status adds up and prints as documented", {
  local_store()
  session <- local_session()
  session$map(1:20, function(i) if (i == 3) stop("three") else i)
  repeat {
    s <- session$status()
    expect_identical(s$total, 20)
    expect_identical(s$pending + s$running + s$completed + s$failed + s$cancelled, s$total)
    if (s$completed + s$failed == 20) {
      break
    }
    session$collect(wait = TRUE, timeout = 60)
  }
  expect_s3_class(s, "StarburstSessionStatus")
  if (is.null(s3_server())) {
    expect_identical(s$cost, 0)
  } else {
    expect_output(print(s), "Cost: +[^ ]+( than 0.0001)? USD so far, for requests to S3")
  }
  expect_snapshot(print(s), transform = function(lines) lines[!grepl("^ *Cost:", lines)])
})

test_that("collect() waits no longer than it was told, and the work goes on", {
  local_store()
  session <- local_session(workers = 1)
  id <- session$submit(Sys.sleep(1))
  cnd <- expect_error(session$collect(wait = TRUE, timeout = 0.2), class = "starburst_error_timeout")
  expect_identical(cnd$waited_s, 0.2)
  expect_length(session$collect(), 0)
  expect_null(session$collect(wait = TRUE, timeout = 60)[[id]])
})

test_that("cancelled tasks stop, at once when they run, and can be retried", {
  local_store()
  session <- local_session(workers = 1)
  marker <- tempfile()
  running <- session$submit({
    file.create(marker)
    if (!file.exists(paste0(marker, "-again"))) {
      Sys.sleep(600)
    }
    "ran"
  })
  waiting <- session$submit(quote("later"))
  wait_for(function() file.exists(marker))
  expect_identical(session$cancel(c(running, waiting)), 2)
  expect_identical(session$status()$cancelled, 2)
  after <- session$submit(quote("after"))
  expect_identical(session$result(after, timeout = 60), "after")
  file.create(paste0(marker, "-again"))
  expect_identical(session$retry(c(running, waiting)), 2)
  expect_equal(unname(unlist(session$collect(wait = TRUE, timeout = 60))), c("ran", "later", "after"))
})

test_that("failed tasks can be retried, and only they", {
  local_store()
  session <- local_session(workers = 1)
  switch_file <- tempfile()
  id <- session$submit(if (file.exists(switch_file)) "now" else stop("not yet"))
  session$submit(quote("fine"))
  expect_true(session$collect(wait = TRUE, timeout = 60)[[id]]$error)
  file.create(switch_file)
  expect_identical(session$retry(), 1)
  expect_identical(session$result(id, timeout = 60), "now")
})

test_that("logs show what a task printed, said and warned", {
  local_store()
  session <- local_session(workers = 1)
  other <- session$submit(cat("other\n"))
  id <- session$submit({
    cat("printed\n")
    message("said")
    warning("careful")
    system("echo from the shell")
  })
  session$collect(wait = TRUE, timeout = 60)
  log <- session$logs(id)
  for (text in c("printed", "said", "Warning: careful", "from the shell")) {
    expect_match(log, text, fixed = TRUE)
  }
  expect_no_match <- function(x, p) expect_false(grepl(p, x, fixed = TRUE))
  expect_no_match(log, "other")
})

test_that("the log of a map's element has what it printed and said, also when it failed", {
  local_store()
  session <- local_session(workers = 1)
  ids <- session$map(1:3, function(i) {
    cat("element", i, "\n")
    message("half way")
    warning("careful")
    if (i == 2) {
      stop("no twos")
    }
    i
  })
  session$collect(wait = TRUE)
  for (i in 1:2) {
    expect_identical(session$logs(ids[[i]]), sprintf("element %d \nhalf way\nWarning: careful\n", i))
  }
  expect_identical(starburst_logs(session$id, ids[[3]])$line, c("element 3 ", "half way", "Warning: careful"))
})

test_that("extend() never shortens, and an expired session takes no more work until extended", {
  local_store()
  session <- local_session(workers = 1, absolute_timeout = 2)
  later <- session$extend(5000)
  expect_gt(as.numeric(later) - as.numeric(Sys.time()), 4000)
  expect_identical(session$extend(1), later)
  short <- local_session(workers = 1, absolute_timeout = 1)
  wait_for(function() short$status()$state == "expired")
  expect_error(short$submit(quote(1 + 1)), class = "starburst_error_closed")
  short$extend(100)
  expect_identical(short$result(short$submit(quote(1 + 1)), timeout = 60), 2)
})

test_that("cleanup() stops this session's workers only, and deletes all of it and nothing else", {
  store <- local_store()
  one <- local_session(workers = 1)
  two <- local_session(workers = 1)
  one$result(one$submit(quote(1 + 0)))
  two$result(two$submit(quote(2 + 0)))
  one$cleanup()
  wait_for(function() length(worker_pids(one$id)) == 0)
  expect_error(one$submit(quote(1 + 0)), class = "starburst_error_closed")
  expect_length(one$collect(), 1)
  expect_gt(length(worker_pids(two$id)), 0)
  one$cleanup(force = TRUE)
  left <- store_keys(store)
  expect_length(grep(one$id, left), 0)
  expect_gt(length(grep(two$id, left)), 2)
  expect_identical(starburst_list_sessions()$session_id, two$id)
})

test_that("a handle that was saved keeps its id and says how to attach", {
  local_store()
  session <- local_session(workers = 1)
  file <- withr::local_tempfile()
  saveRDS(session, file)
  loaded <- readRDS(file)
  expect_identical(loaded$id, session$id)
  cnd <- expect_error(loaded$status(), class = "starburst_error_stale_handle")
  expect_match(conditionMessage(cnd), session$id, fixed = TRUE)
  expect_output(print(loaded), "not connected")
})

test_that("a forked child is told to attach instead of hanging, and may", {
  local_store()
  session <- local_session(workers = 1)
  session$result(session$submit(quote(1 + 0)))
  id <- session$id
  child <- parallel::mcparallel({
    stale <- tryCatch(session$status(), error = function(cnd) class(cnd)[[1]])
    c(stale, starburst_session_attach(id)$status()$completed)
  })
  expect_identical(parallel::mccollect(child, timeout = 30)[[1]], c("starburst_error_stale_handle", "1"))
  expect_identical(session$status()$completed, 1)
})

test_that("sessions are listed with real counts", {
  local_store()
  expect_identical(nrow(starburst_list_sessions()), 0L)
  session <- local_session(workers = 1)
  session$map(1:3, function(i) if (i == 2) stop("no") else i)
  session$collect(wait = TRUE, timeout = 60)
  row <- starburst_list_sessions()
  expect_identical(row$session_id, session$id)
  expect_identical(c(row$total_tasks, row$completed, row$failed, row$pending), c(3, 2, 1, 0))
  expect_s3_class(row$created_at, "POSIXct")
  expect_gte(as.numeric(row$last_activity), as.numeric(row$created_at))
  expect_identical(row$state, "open")
})
