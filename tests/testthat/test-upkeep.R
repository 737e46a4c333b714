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
