# Workers as ECS tasks, at a stand-in for AWS that runs a real worker process for each.

test_that("a plan on Fargate runs futures, says what it costs, and leaves nothing running", {
  aws <- local_ecs()
  said <- capture_messages({
    local_plan(starburst, workers = 3, cpu = 1, memory = "2GB")
    values <- future.apply::future_lapply(1:12, function(i) {
      cat("working on", i, "\n")
      c(i^2, Sys.getpid())
    })
  })
  expect_equal(vapply(values, `[[`, 0, 1), (1:12)^2)
  expect_gt(length(unique(vapply(values, `[[`, 0, 2))), 1)
  expect_match(said, "Requested 3 workers (3 vCPU)", fixed = TRUE, all = FALSE)
  expect_match(said, "USD an hour", fixed = TRUE, all = FALSE)
  expect_lte(count_of(aws, "counts", "RunTask"), 3)
  future::plan("sequential")
  stop_fleets()
  wait_for(function() running_tasks(aws) == 0)
})

test_that("a quota of 4 vCPU never has more than 4 workers of 1, nor fewer while tasks wait, and all is done", {
  aws <- local_ecs("--quota", "L-3032A538=4")
  said <- capture_messages({
    local_plan(starburst, workers = 10, cpu = 1, memory = "2GB")
    values <- future.apply::future_sapply(1:20, function(i) i, future.chunk.size = 1)
  })
  expect_equal(values, 1:20)
  expect_match(said, "Fargate quota 4 vCPU.*4 workers at a time", all = FALSE)
  expect_equal(count_of(aws, "statuses", "most_vcpus_fargate"), 4)
})

test_that("a quota below one worker is refused at once, with the request to make", {
  aws <- local_ecs("--quota", "L-3032A538=0")
  local_plan(starburst, workers = 2, cpu = 1, memory = "2GB")
  cnd <- expect_error(future::future(1), class = "starburst_error_quota")
  expect_match(conditionMessage(cnd), "starburst_request_quota_increase(vcpus = 10", fixed = TRUE)
  expect_equal(count_of(aws, "counts", "RunTask"), 0)
})

test_that("what cannot be is refused before anything starts", {
  aws <- local_ecs()
  cnd <- expect_error(starburst_session(launch_type = "EC2"), class = "starburst_error_invalid_input")
  expect_match(conditionMessage(cnd), "instance_type", fixed = TRUE)
  cnd <- expect_error(
    starburst_session(workers = 50, cpu = 4, max_hourly_cost = 5),
    class = "starburst_error_cost"
  )
  expect_match(conditionMessage(cnd), "50 workers cost 10.12 USD an hour; 24 would fit", fixed = TRUE)
  expect_equal(count_of(aws, "counts", "RunTask"), 0)
})

test_that("throttled calls and refused capacity pass by themselves", {
  aws <- local_ecs()
  ask_ecs(aws, "rule", fault = "throttle", operation = "RunTask", times = 3)
  ask_ecs(aws, "rule", fault = "capacity", for_ms = 3000)
  suppressMessages(local_plan(starburst, workers = 2, cpu = 1, memory = "2GB"))
  suppressMessages(f <- future::future(42))
  expect_equal(future::value(f), 42)
})

refused_launch <- function(aws, ..., env = parent.frame()) {
  ask_ecs(aws, "rule", ...)
  suppressMessages({
    local_plan(starburst, workers = 2, cpu = 1, memory = "2GB", env = env)
    f <- future::future(1)
  })
  expect_error(future::value(f))
}

test_that("an image that cannot be pulled is said in words", {
  aws <- local_ecs()
  cnd <- refused_launch(aws, fault = "pull")
  expect_match(conditionMessage(cnd), "image cannot be pulled", fixed = TRUE)
  expect_match(conditionMessage(cnd), "starburst_doctor()", fixed = TRUE)
})

test_that("a role that may not be passed is said in words", {
  aws <- local_ecs()
  cnd <- refused_launch(aws, fault = "pass-role", operation = "RunTask")
  expect_s3_class(cnd, "starburst_error_permission")
  expect_match(conditionMessage(cnd), "iam:PassRole", fixed = TRUE)
})

test_that("no session outlives the objects of its bucket", {
  aws <- local_ecs(stack = c(object_expiry_days = "2"))
  refused <- expect_error(
    starburst_session(workers = 1, absolute_timeout = 2 * 86400 + 1),
    class = "starburst_error_invalid_input"
  )
  expect_identical(refused$arg, "absolute_timeout")
  session <- suppressMessages(starburst_session(workers = 1, absolute_timeout = 2 * 86400))
  for (known in list(session, starburst_session_attach(session$id))) {
    refused <- expect_error(known$extend(2 * 86400 + 1), class = "starburst_error_invalid_input")
    expect_identical(refused$arg, "seconds")
    expect_match(conditionMessage(refused), "2 days", fixed = TRUE)
    expect_no_error(known$extend(86400))
  }
  session$cleanup(force = TRUE)
  plan <- starburst:::check_settings(starburst:::with_config(
    lapply(formals(starburst)[starburst:::launch_arguments], eval),
    character()
  ))
  expect_identical(plan$absolute_timeout, 2 * 86400)
})

test_that("expired credentials are said in words", {
  aws <- local_ecs()
  cnd <- refused_launch(aws, fault = "expired-token", operation = "RunTask")
  expect_s3_class(cnd, "starburst_error_unauthenticated")
  expect_match(conditionMessage(cnd), "expired", fixed = TRUE)
})

test_that("a detached session on Spot survives interruptions with no client attached, and its log is kept", {
  aws <- local_ecs()
  suppressMessages({
    session <- starburst_session(workers = 3, cpu = 1, memory = "2GB", use_spot = TRUE, idle_timeout = 20)
  })
  ids <- session$map(1:12, function(i) {
    Sys.sleep(0.5)
    i * 10
  })
  session$flush()
  id <- session$id
  wait_for(function() count_of(aws, "statuses", "RUNNING") >= 1)
  leave <- starburst:::leave_quietly
  leave(environment(session$flush)$private$handle_)
  ask_ecs(aws, "interrupt-spot", count = 1)
  again <- starburst_session_attach(id)
  results <- again$collect(wait = TRUE, timeout = 120)
  expect_setequal(unlist(results), (1:12) * 10)
  status <- again$status()
  expect_gt(status$cost_of_requests, 0)
  expect_gt(status$cost, status$cost_of_requests)
  expect_output(print(status), "of it for requests to S3")
  # Whoever led wrote down what it had cost; a listing reads that.
  listed <- starburst_list_sessions()
  expect_gt(listed$cost[listed$session_id == id], 0)
  again$cleanup(force = TRUE)
  wait_for(function() running_tasks(aws) == 0)
})

test_that("a run stops when it has cost what it may, with its results kept", {
  aws <- local_ecs()
  suppressMessages({
    session <- starburst_session(workers = 2, cpu = 16, memory = "120GB", max_total_cost = 0.03)
  })
  # One minute, the least that is charged, of two such workers costs more than that.
  first <- session$submit(1 + 1)
  cnd <- expect_error(
    {
      for (i in 1:400) {
        session$submit(Sys.sleep(1))
      }
      session$collect(wait = TRUE, timeout = 120)
    },
    class = "starburst_error_cost"
  )
  expect_match(conditionMessage(cnd), "max_total_cost.* of it for requests to S3")
  wait_for(function() running_tasks(aws) == 0, 60)
  session$cleanup(force = TRUE)
})

test_that("the requests of workers and clients that a session counts are those that the store bills", {
  aws <- local_ecs()
  suppressMessages(session <- starburst_session(workers = 2, cpu = 1, memory = "2GB", idle_timeout = 2))
  session$map(1:200, function(i) i)
  session$collect(wait = TRUE, timeout = 60)
  # Workers say how many they made when they leave.
  wait_for(function() running_tasks(aws) == 0, 120)
  billed <- count_of(Sys.getenv("AWS_ENDPOINT_URL_S3"), "counts", "usd")
  told <- session$status()$cost_of_requests
  # The last requests of a worker come after it has counted, and the status makes some.
  expect_gt(told, 0.8 * billed)
  expect_lt(told, 1.3 * billed)
  session$cleanup(force = TRUE)
})

test_that("two sessions in one cluster do not touch each other", {
  aws <- local_ecs()
  suppressMessages({
    one <- starburst_session(workers = 1, cpu = 1, memory = "2GB")
    two <- starburst_session(workers = 1, cpu = 1, memory = "2GB")
  })
  a <- one$submit(toupper("one"))
  b <- two$submit(toupper("two"))
  expect_equal(unname(unlist(one$collect(wait = TRUE, timeout = 60))), "ONE")
  expect_equal(unname(unlist(two$collect(wait = TRUE, timeout = 60))), "TWO")
  one$cleanup(force = TRUE)
  wait_for(function() running_tasks(aws) == 1)
  two$submit(toupper("still there"))
  expect_true("STILL THERE" %in% unlist(two$collect(wait = TRUE, timeout = 60)))
  two$cleanup(force = TRUE)
  wait_for(function() running_tasks(aws) == 0)
})

test_that("a session that has cost what the user wants to know of warns once", {
  aws <- local_ecs()
  withr::local_options(starburst.cost_alert_threshold = 0.0001)
  suppressMessages(session <- starburst_session(workers = 1, cpu = 1, memory = "2GB"))
  session$map(1:40, function(i) Sys.sleep(0.5))
  told <- character()
  withCallingHandlers(
    session$collect(wait = TRUE, timeout = 120),
    starburst_warning_cost = function(cnd) {
      told <<- c(told, conditionMessage(cnd))
      invokeRestart("muffleWarning")
    }
  )
  expect_length(told, 1)
  expect_match(told, "cost_alert_threshold", fixed = TRUE)
  session$cleanup(force = TRUE)
})

test_that("an image with an R that is too old is refused with the base to take", {
  scripts <- withr::local_tempdir()
  file.copy(list.files(system.file("worker", package = "starburst"), full.names = TRUE), scripts)
  # The worker's R says that it is an old one.
  pipe <- readLines(file.path(scripts, "pipe.R"))
  old <- sub("version <- c(R.version$major,", "version <- c(\"3\",", pipe, fixed = TRUE)
  expect_false(identical(old, pipe))
  writeLines(old, file.path(scripts, "pipe.R"))
  aws <- local_ecs(scripts = scripts)
  suppressMessages({
    session <- starburst_session(workers = 1, cpu = 1, memory = "2GB", image = "registry/worker:1")
    session$submit(quote(1 + 1))
  })
  cnd <- expect_error(session$collect(wait = TRUE, timeout = 60), class = "starburst_error_version")
  r <- sub("[.][0-9]+$", "", getRversion())
  expect_match(
    conditionMessage(cnd),
    sprintf("starburst_image_build(base = \"rocker/r-ver:%s\")", r),
    fixed = TRUE
  )
})
