test_that("every kind of error in Rust has a class that R knows", {
  expect_true(all(starburst:::rs_error_kinds() %in% starburst:::error_kinds))
})

test_that("an error of Rust is a classed condition with what to do next", {
  local_store()
  cnd <- expect_error(starburst_session_attach("nosuchsession"), class = "starburst_error_not_found")
  expect_s3_class(cnd, "starburst_error")
  expect_identical(cnd$subject, "nosuchsession")
  expect_snapshot(starburst_session_attach("nosuchsession"), error = TRUE)
  expect_snapshot(starburst_session_attach("No Such/Session"), error = TRUE)
})

test_that("braces in an error's text are printed, not evaluated", {
  err <- structure(
    list(value = list(kind = "data", message = "bad {1 + 1}", causes = "{stop('run')}")),
    class = c("extendr_error", "error", "condition")
  )
  cnd <- expect_error(starburst:::unwrap_native(err), class = "starburst_error_data")
  expect_match(conditionMessage(cnd), "{1 + 1}", fixed = TRUE)
  expect_match(conditionMessage(cnd), "{stop('run')}", fixed = TRUE)
})
