# What a worker's R takes over from this R: options, locale, time zone, variables by name. Nothing else.

in_worker <- function(expr, ...) {
  local_plan(starburst, workers = 1, launch_type = "LOCAL", ...)
  future::value(future::future(expr, substitute = FALSE))
}

test_that("options travel that change what code computes or writes, and others by name only", {
  withr::local_options(digits = 4, OutDec = ",", my.option = "mine", warn = 1, mc.cores = 77)
  expr <- quote(list(format(pi), getOption("my.option"), getOption("warn"), getOption("mc.cores")))
  expect_identical(in_worker(expr, cpu = 1, memory = "2GB"), list("3,142", NULL, 0L, 1L))
  withr::local_options(starburst.options = c("my.option", "scipen", "not.set"), scipen = 9)
  # Another plan, and so another session.
  expr <- quote(list(format(pi), getOption("my.option"), format(1e8), "not.set" %in% names(options())))
  expect_identical(in_worker(expr, cpu = 1, memory = "3GB"), list("3.141593", "mine", "100000000", FALSE))
})

test_that("an option that a task changes is back to what travelled in the next", {
  withr::local_options(digits = 5)
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  future::value(future::future(options(digits = 15)))
  expect_identical(future::value(future::future(format(pi))), "3.1416")
})

test_that("options that are the worker's own, or too much, are refused at the door", {
  local_store()
  expect_refused <- function(..., why) {
    withr::local_options(...)
    cnd <- expect_error(
      starburst_session(workers = 1, launch_type = "LOCAL"),
      why,
      class = "starburst_error_invalid_input"
    )
    expect_match(cnd$arg, "^options[(]starburst[.]")
  }
  expect_refused(starburst.options = "mc.cores", why = "mc.cores")
  expect_refused(starburst.options = c("digits", "future.plan"), why = "future.plan")
  expect_refused(starburst.options = 1, why = "a character vector")
  expect_refused(
    starburst.options = c("digits", "large.one"),
    large.one = runif(1e5),
    why = "64 KB.*large.one"
  )
  expect_refused(starburst.locale = TRUE, why = "LC_COLLATE")
  expect_refused(starburst.locale = c(LC_ALL = "C"), why = "LC_COLLATE")
  expect_refused(starburst.envvars = "MY_UNSET", why = "not set")
  expect_refused(starburst.envvars = "AWS_SECRET_ACCESS_KEY", why = "AWS")
  expect_refused(starburst.envvars = "no name", why = "no name")
  expect_identical(nrow(starburst_list_sessions()), 0L)
})

test_that("the locale travels, category by category", {
  withr::local_locale(LC_COLLATE = "C")
  withr::local_options(starburst.locale = NULL)
  expr <- quote(c(Sys.getlocale("LC_COLLATE"), Sys.getlocale("LC_CTYPE")))
  expect_identical(in_worker(expr), c("C", Sys.getlocale("LC_CTYPE")))
})

test_that("text is sorted as here", {
  # In the order of C, capital letters come first; which locales there are differs between machines.
  sorts <- function(name) {
    identical(suppressWarnings(withr::with_collate(name, sort(c("B", "a")))), c("a", "B"))
  }
  other <- Filter(sorts, c("en_US.UTF-8", "en_GB.UTF-8", "de_DE.UTF-8"))
  chosen <- c("C", utils::head(other, 1L))
  for (name in chosen) {
    withr::with_collate(name, {
      here <- sort(c("B", "a", "A", "b"))
      expect_identical(
        in_worker(quote(sort(c("B", "a", "A", "b"))), timeout = 100 + match(name, chosen)),
        here
      )
    })
  }
})

test_that("a locale that workers lack is one warning, and the work goes on", {
  withr::local_options(starburst.locale = c(LC_COLLATE = "xx_XX.UTF-8", LC_TIME = "C"))
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  said <- list()
  values <- withCallingHandlers(
    {
      tasks <- lapply(1:6, function(i) future::future(i, seed = NULL))
      future::value(tasks)
    },
    warning = function(cnd) {
      said[[length(said) + 1L]] <<- cnd
      invokeRestart("muffleWarning")
    }
  )
  expect_identical(values, as.list(1:6))
  expect_length(said, 1L)
  expect_s3_class(said[[1L]], "starburst_warning_worker")
  expect_match(conditionMessage(said[[1L]]), "LC_COLLATE=xx_XX.UTF-8")
})

test_that("the time zone travels, also one that is no variable here", {
  withr::local_timezone("Asia/Tokyo")
  expr <- quote(format(as.POSIXct(0, origin = "1970-01-01"), "%H:%M %Z"))
  expect_identical(in_worker(expr), "09:00 JST")
})

test_that("the time zone of the system is found without asking a program", {
  withr::local_envvar(TZ = NA)
  folder <- withr::local_tempdir()
  zones <- file.path(folder, "zoneinfo", "Europe")
  dir.create(zones, recursive = TRUE)
  file.create(file.path(zones, "Berlin"))
  link <- file.path(folder, "localtime")
  file.symlink(file.path(zones, "Berlin"), link)
  expect_identical(starburst:::time_zone(link, "/nowhere"), "Europe/Berlin")
  file <- file.path(folder, "timezone")
  writeLines("America/Lima", file)
  expect_identical(starburst:::time_zone("/nowhere", file), "America/Lima")
  expect_null(starburst:::time_zone("/nowhere", "/nowhere"))
})

test_that("variables travel by name and with the session: a worker that another R starts has them", {
  local_store()
  withr::local_envvar(MY_NAMED = "named", MY_UNNAMED = "unnamed", TZ = "Europe/Rome")
  withr::local_options(starburst.envvars = "MY_NAMED")
  session <- local_session(workers = 1)
  # Nobody has submitted, so no worker has started; the one that comes has its variables from the other R.
  out <- run_r(
    c(
      "Sys.unsetenv(c('MY_NAMED', 'MY_UNNAMED', 'TZ'))",
      sprintf("session <- starburst_session_attach('%s')", session$id),
      "session$submit(quote(Sys.getenv(c('MY_NAMED', 'MY_UNNAMED', 'TZ'), 'none')))",
      "cat(unlist(session$collect(wait = TRUE)))"
    )
  )
  expect_identical(out[[length(out)]], "named none Europe/Rome")
})

test_that("nothing but what was named is in what travels", {
  withr::local_envvar(MY_SECRET = "hunter2", TZ = "UTC")
  withr::local_options(starburst.envvars = character(), my.secret = "hunter2")
  travel <- starburst:::travel_config(quote(test()))
  expect_identical(travel$travel_names, "TZ")
  expect_false(any(grepl(
    "hunter2",
    c(travel$travel_values, rawToChar(travel$travel_state[travel$travel_state != 0])),
    fixed = TRUE,
    useBytes = TRUE
  )))
})

test_that("no profile of the user is read by a worker", {
  home <- withr::local_tempdir()
  profile <- file.path(home, ".Rprofile")
  writeLines("options(from.profile = TRUE); cat('profile was read\\n')", profile)
  withr::local_envvar(R_PROFILE_USER = profile, HOME = home)
  withr::local_dir(home)
  expect_null(in_worker(quote(getOption("from.profile"))))
})

test_that("with workers of this machine a secret must be there as a variable", {
  local_store()
  arn <- "arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf"
  withr::local_options(starburst.secrets = c(MY_PASSWORD = arn))
  withr::local_envvar(MY_PASSWORD = NA)
  expect_error(
    starburst_session(workers = 1, launch_type = "LOCAL"),
    "MY_PASSWORD.*Sys.setenv",
    class = "starburst_error_invalid_input"
  )
  withr::local_envvar(MY_PASSWORD = "here")
  expect_identical(in_worker(quote(Sys.getenv("MY_PASSWORD"))), "here")
})

test_that("a secret is named by an ARN, and what is none is not shown", {
  check <- function(...) {
    withr::local_options(starburst.secrets = c(...))
    starburst:::check_secrets(quote(test()))
  }
  arns <- c(
    B = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf:password::",
    A = "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/lab/token"
  )
  expect_identical(check(arns), arns[c("A", "B")])
  expect_length(check(), 0L)
  cnd <- expect_error(check(TOKEN = "hunter2"), "TOKEN", class = "starburst_error_invalid_input")
  expect_no_match(conditionMessage(cnd), "hunter2")
  expect_error(check(arns[["A"]]), class = "starburst_error_invalid_input")
  expect_error(
    check(A = arns[["A"]], A = arns[["B"]]),
    "two secrets",
    class = "starburst_error_invalid_input"
  )
  expect_error(check(AWS_PROFILE = arns[["A"]]), "AWS", class = "starburst_error_invalid_input")
})

test_that("on ECS variables travel by name, and what is secret comes from AWS", {
  arn <- "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
  local_ecs("--secret", paste0(arn, "=hunter2"))
  withr::local_envvar(MY_NAMED = "named", MY_UNNAMED = "unnamed", MY_PASSWORD = NA, TZ = "Asia/Tokyo")
  withr::local_options(starburst.envvars = "MY_NAMED", starburst.secrets = c(MY_PASSWORD = arn), digits = 4)
  suppressMessages({
    local_plan(starburst, workers = 1, cpu = 1, memory = "2GB", environment = "none")
    f <- future::future(c(
      Sys.getenv(c("MY_NAMED", "MY_UNNAMED", "MY_PASSWORD", "TZ"), "none", names = FALSE),
      format(pi)
    ))
  })
  expect_identical(future::value(f), c("named", "none", "hunter2", "Asia/Tokyo", "3.142"))
})
