# What is set stays, is checked like an argument, and is kept in a file that only its owner reads.

record <- function(stack = "starburst", region = "eu-central-1", profile = NULL) {
  c(
    list(stack = stack, region = region),
    if (!is.null(profile)) list(profile = profile),
    list(bucket = paste0(stack, "-bucket"), cluster = "c", subnets = "subnet-1,subnet-2")
  )
}

test_that("settings are stored, later ones win, and NULL takes one back", {
  local_config()
  expect_false(starburst_is_configured())
  starburst_config(workers = 20, memory = 16, use_spot = "fallback", max_total_cost = 2.5)
  starburst_config(workers = 30, auto_quota_request = TRUE, environment = c("dplyr", "sf"))
  shown <- starburst_config()
  expect_identical(
    shown$settings,
    list(
      workers = 30,
      memory = "16GB",
      use_spot = "fallback",
      environment = c("dplyr", "sf"),
      max_total_cost = 2.5,
      auto_quota_request = TRUE
    )
  )
  starburst_config(workers = NULL, environment = NULL)
  expect_named(starburst_config()$settings, c("memory", "use_spot", "max_total_cost", "auto_quota_request"))
})

test_that("every setting comes back from the file as it was given", {
  local_config()
  values <- list(
    workers = 7,
    cpu = 0.25,
    memory = "512MB",
    region = "eu-central-1",
    timeout = 1e6,
    launch_type = "LOCAL",
    instance_type = "c7g.4xlarge",
    use_spot = FALSE,
    image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/b\u00e4r:4.5",
    environment = "none",
    max_hourly_cost = 1 / 3,
    max_total_cost = 1e5,
    auto_quota_request = FALSE,
    cost_alert_threshold = 0.1
  )
  do.call(starburst_config, values)
  expect_equal(starburst_config()$settings, values)
})

test_that("a wrong value or name stores nothing and names what is allowed", {
  local_config()
  starburst_config(workers = 5)
  bad <- list(
    workers = 0,
    cpu = 3,
    memory = "1 apple",
    region = 1,
    timeout = -1,
    launch_type = "MOON",
    use_spot = "maybe",
    image = "a\nb",
    environment = "a,b",
    max_hourly_cost = -1,
    auto_quota_request = NA,
    cost_alert_threshold = "much"
  )
  for (arg in names(bad)) {
    cnd <- expect_error(do.call(starburst_config, bad[arg]), class = "starburst_error_invalid_input")
    expect_identical(cnd$arg, arg)
  }
  expect_error(starburst_config(cpu = 16, memory = "8GB"), class = "starburst_error_invalid_input")
  expect_error(starburst_config(5), class = "starburst_error_invalid_input")
  expect_snapshot(starburst_config(wrokers = 5), error = TRUE)
  expect_identical(starburst_config()$settings, list(workers = 5))
})

test_that("only the owner may read the file", {
  skip_on_os("windows")
  local_config()
  starburst_config(workers = 5)
  expect_identical(format(file.mode(starburst_config()$file)), "600")
  expect_length(list.files(dirname(starburst_config()$file)), 1)
})

test_that("an argument wins over an option, which wins over the file, which wins over what is built in", {
  local_config()
  starburst_config(workers = 20, region = "eu-west-1")
  given <- list(workers = 10, cpu = 4, region = NULL, auto_quota_request = FALSE)
  withr::local_options(starburst.workers = NULL, starburst.auto_quota = TRUE)
  set <- starburst:::with_config(given, supplied = character())
  expect_identical(
    set[names(given)],
    list(workers = 20, cpu = 4, region = "eu-west-1", auto_quota_request = TRUE)
  )
  expect_setequal(attr(set, "chosen"), c("workers", "region", "auto_quota_request"))
  withr::local_options(starburst.workers = 15)
  expect_identical(starburst:::with_config(given, character())$workers, 15)
  expect_identical(starburst:::with_config(given, "workers")$workers, 10)
  expect_identical(starburst_config()$from[["workers"]], "option")
})

test_that("what a plan is given wins over the configuration, also where it is what is built in", {
  local_config()
  withr::defer(future::plan(future::sequential))
  starburst_config(workers = 3, cpu = 8, memory = "16GB", launch_type = "LOCAL")
  planned <- function() starburst:::strategy_settings(future::plan("list")[[1]])
  future::plan(starburst)
  expect_identical(future::nbrOfWorkers(), 3)
  future::plan(starburst, workers = 10)
  expect_identical(future::nbrOfWorkers(), 10)
  expect_identical(planned()$cpu, 8)
  future::plan(starburst, cpu = 4)
  expect_identical(future::nbrOfWorkers(), 3)
  expect_identical(planned()$cpu, 4)
  # A plan that is made of another one knows what both were given.
  half <- future::tweak(starburst, workers = 10)
  # future warns of any argument that is tweaked second.
  suppressWarnings(future::plan(half, cpu = 4))
  expect_identical(future::nbrOfWorkers(), 10)
  expect_identical(planned()$cpu, 4)
  # What futures run with is what was planned.
  expect_identical(future::value(future::future(parallelly::availableCores()[[1]])), 4L)
})

test_that("a plan reads the configuration once, and the next plan reads it again", {
  skip_if(starburst:::has_backend_api(), "future 1.40 and later keep what a plan was made of")
  local_config()
  withr::defer(future::plan(future::sequential))
  starburst_config(workers = 1, launch_type = "LOCAL")
  future::plan(starburst)
  expect_identical(future::value(future::future(1)), 1)
  writeLines("no record", starburst:::config_file())
  expect_identical(future::value(future::future(2)), 2)
  expect_error(future::plan(starburst), class = "starburst_error_data")
})

test_that("the configuration is printed with its stacks and where a value comes from", {
  local_config()
  withr::local_options(starburst.timeout = 60)
  expect_output(print(starburst_config()), "none; `starburst_setup()` makes one", fixed = TRUE)
  starburst:::save_stack(record(profile = "work"))
  starburst_config(workers = 20)
  lines <- capture.output(print(starburst_config()))
  expect_match(lines, "starburst in eu-central-1 (profile work)", fixed = TRUE, all = FALSE)
  expect_match(lines, "workers +20$", all = FALSE)
  expect_match(lines, "timeout +60  [(]option[)]$", all = FALSE)
})

test_that("the stack in use is the only one, or the one that is named", {
  local_config()
  withr::local_envvar(AWS_REGION = NA, AWS_DEFAULT_REGION = NA, AWS_PROFILE = NA)
  account_settings <- starburst:::account_settings
  starburst:::save_stack(record())
  expect_identical(account_settings(), record())
  expect_true(starburst_is_configured())
  starburst:::save_stack(record("starburst-b", "us-east-1", "work"))
  expect_identical(account_settings(region = "us-east-1")$stack, "starburst-b")
  expect_identical(account_settings(profile = "work")$stack, "starburst-b")
  expect_identical(account_settings(stack = "starburst"), record())
  expect_error(account_settings(), class = "starburst_error_invalid_input")
  withr::with_envvar(
    c(AWS_REGION = "us-east-1"),
    expect_identical(account_settings()$stack, "starburst-b")
  )
  starburst_config(region = "eu-central-1")
  expect_identical(account_settings()$stack, "starburst")
  withr::with_options(
    list(starburst.stack = "starburst-b"),
    expect_identical(account_settings()$stack, "starburst-b")
  )
})

test_that("the same stack is kept once, and forgetting one leaves the others and the settings", {
  local_config()
  starburst_config(workers = 5)
  starburst:::save_stack(record())
  changed <- record()
  changed$bucket <- "another"
  starburst:::save_stack(changed)
  starburst:::save_stack(record("starburst-b"))
  expect_identical(starburst_config()$stacks$stack, c("starburst", "starburst-b"))
  expect_identical(starburst:::account_settings(stack = "starburst")$bucket, "another")
  starburst:::forget_stack(list(stack = "starburst", region = "eu-central-1"))
  expect_identical(starburst_config()$stacks$stack, "starburst-b")
  expect_identical(starburst_config()$settings$workers, 5)
})

test_that("without a stack, and with several, the error says what to do", {
  local_config()
  withr::local_envvar(AWS_REGION = NA, AWS_DEFAULT_REGION = NA, AWS_PROFILE = NA)
  settings <- function(...) starburst:::account_settings(..., call = quote(starburst_session()))
  expect_snapshot(error = TRUE, {
    settings()
    settings(region = "us-east-1", stack = "starburst-b")
  })
  expect_error(settings(), class = "starburst_error_not_set_up")
  starburst:::save_stack(record())
  starburst:::save_stack(record("starburst-b", "us-east-1", "work"))
  expect_snapshot(settings(), error = TRUE)
})

test_that("a damaged file is told, and a folder that cannot be written", {
  local_config()
  starburst_config(workers = 5)
  writeLines("no record", starburst_config()$file)
  expect_error(starburst_config(), class = "starburst_error_data")
  file <- withr::local_tempfile()
  writeLines("", file)
  withr::local_envvar(R_USER_CONFIG_DIR = file)
  expect_error(starburst_config(workers = 5), class = "starburst_error_permission")
})
