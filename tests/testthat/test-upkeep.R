# Logs, cleaning up and the overview, on this machine.

test_that("the log of a task and of all workers is shown", {
  local_store()
  session <- local_session(workers = 1)
  id <- session$submit({
    print("from the first")
    cat("b\u00e4r\n")
  })
  session$submit(print("from the second"))
  session$collect(wait = TRUE)
  one <- starburst_logs(session$id, id)
  expect_match(one$line, "from the first", all = FALSE)
  expect_no_match <- function(x) expect_false(any(grepl("from the second", x, fixed = TRUE)))
  expect_no_match(one$line)
  all <- starburst_logs(last_n = 2)
  expect_lte(nrow(all), 2)
  expect_match(starburst_logs(session$id)$line, "from the second", all = FALSE)
  expect_output(print(one), "from the first")
  expect_error(starburst_logs(session$id, last_n = 0), class = "starburst_error_invalid_input")
})

test_that("without a session there is no log", {
  local_store()
  expect_error(starburst_logs(), class = "starburst_error_not_found")
})

test_that("sessions that are over for long are cleaned up, and no others", {
  local_config()
  local_store()
  open <- local_session(workers = 1)
  over <- local_session(workers = 1)
  over$submit(sum(1))
  over$collect(wait = TRUE)
  over$cleanup()
  expect_message(starburst_cleanup(ask = FALSE), "nothing to clean up")
  expect_error(starburst_cleanup(older_than = 0), class = "starburst_error_invalid_input")
  Sys.sleep(0.1)
  gone <- suppressMessages(starburst_cleanup(older_than = 0, ask = FALSE))
  expect_identical(gone, data.frame(kind = "session", id = over$id))
  expect_identical(starburst_list_sessions()$session_id, open$id)
  expect_error(starburst_cleanup(older_than = "a week"), class = "starburst_error_invalid_input")
})

test_that("what was written late into a deleted session is cleaned up after a day, and nothing else", {
  local_config()
  place <- local_store()
  open <- local_session(workers = 1)
  open$submit(quote(1 + 1))
  open$collect(wait = TRUE, timeout = 60)
  deleted <- local_session(workers = 1)
  # Whoever does not hear of the deletion goes on writing.
  unaware <- starburst_session_attach(deleted$id)
  deleted$cleanup(force = TRUE)
  expect_identical(store_sessions(place), open$id)
  before <- store_keys(place)
  x <- runif(1e5)
  try(unaware$submit(sum(x)), silent = TRUE)
  try(unaware$flush(), silent = TRUE)
  late <- setdiff(store_keys(place), before)
  expect_match(late, deleted$id, fixed = TRUE)
  expect_match(late, "/blobs/", all = FALSE)

  # The session may only have lost its manifest: a day is left to notice.
  expect_message(starburst_cleanup(ask = FALSE), "nothing to clean up")
  expect_true(all(late %in% store_keys(place)))
  skip_on_s3("the objects of a bucket cannot be made older")
  Sys.setFileTime(file.path(place, late), Sys.time() - 25 * 3600)

  # Looking deletes nothing.
  withr::with_options(list(rlang_interactive = TRUE), {
    suppressMessages(starburst_cleanup(ask = TRUE))
  })
  expect_true(all(late %in% store_keys(place)))
  gone <- suppressMessages(starburst_cleanup(ask = FALSE))
  expect_identical(gone, data.frame(kind = "leftover", id = deleted$id))
  expect_false(any(late %in% store_keys(place)))
  expect_identical(unname(open$collect()), list(2))
  expect_message(starburst_cleanup(ask = FALSE), "nothing to clean up")
})

test_that("the overview shows stacks and sessions", {
  local_config()
  local_store()
  local_session(workers = 1)
  status <- starburst_status()
  expect_identical(nrow(status$sessions), 1L)
  expect_output(print(status), "Not set up on AWS.*Sessions: 1 open, 0 over")
  starburst:::save_stack(list(stack = "starburst", region = "eu-central-1"))
  expect_output(print(starburst_status()), "Stack starburst in eu-central-1")
})
