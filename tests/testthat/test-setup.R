# From an empty account to one with a stack and back, against moto.

region <- "eu-central-1"

test_that("wrong input is refused before AWS is asked", {
  local_config()
  refused <- function(..., arg) {
    cnd <- expect_error(starburst_setup(..., ask = FALSE), class = "starburst_error_invalid_input")
    expect_identical(cnd$arg, arg)
  }
  refused(region = 1, arg = "region")
  refused(stack = "mine", arg = "stack")
  refused(stack = "starburst-ec2-x", arg = "stack")
  refused(vpc_id = "vpc-1", arg = "subnet_ids")
  refused(subnet_ids = "subnet-1", arg = "vpc_id")
  refused(vpc_id = "1", subnet_ids = "subnet-1", arg = "vpc_id")
  refused(bucket = "mine", arg = "bucket")
  refused(object_expiry_days = 0, arg = "object_expiry_days")
  expect_error(starburst_setup_ec2("large"), class = "starburst_error_invalid_input")
  expect_error(starburst_setup_ec2("c7g.large"), class = "starburst_error_not_set_up")
  expect_error(starburst_cleanup_ecr(ask = FALSE), class = "starburst_error_not_set_up")
})

test_that("without credentials, setup and doctor say how to get some", {
  local_config()
  no_credentials()
  expect_snapshot(starburst_setup("eu-west-2", ask = FALSE), error = TRUE)
  expect_snapshot(found <- starburst_doctor("eu-west-2"))
  expect_identical(found$ok[1:3], c(FALSE, TRUE, NA))
})

test_that("a denial names the action to ask for", {
  local_config()
  aws <- local_aws()
  withr::local_envvar(AWS_ENDPOINT_URL = aws$denied)
  expect_snapshot(starburst_setup("eu-west-1", ask = FALSE), error = TRUE)
  expect_error(starburst_setup("eu-west-1", ask = FALSE), class = "starburst_error_permission")
})

test_that("an account is set up, found again, checked, used, cleaned and taken back", {
  skip_on_s3("the bucket is moto's")
  local_config()
  aws <- local_aws()
  ids <- strsplit(ask_aws("network", aws$endpoint), " ")[[1]]
  here <- function(...) starburst_setup(region, vpc_id = ids[[1]], subnet_ids = ids[-1], ...)

  # A script says that it need not be asked.
  expect_error(here(ask = TRUE), class = "starburst_error_invalid_input")
  cnd <- expect_error(here(), class = "starburst_error_invalid_input")
  expect_match(conditionMessage(cnd), "ask = FALSE")
  # Who is asked and says nothing gets nothing.
  withr::with_options(list(rlang_interactive = TRUE), expect_null(suppressMessages(here(ask = TRUE))))
  expect_false(starburst_is_configured())

  said <- character()
  record <- withCallingHandlers(here(ask = FALSE), message = function(cnd) {
    said <<- c(said, conditionMessage(cnd))
    rlang::cnd_muffle(cnd)
  })
  expect_match(said[[1]], "costs cents a month", fixed = TRUE)
  expect_match(said, "create complete", all = FALSE)
  expect_true(starburst_is_configured())
  expect_identical(record$subnets, paste(ids[-1], collapse = ","))
  expect_identical(starburst:::account_settings(), record)

  # A second time nothing is asked and nothing changes.
  file <- starburst_config()$file
  before <- readLines(file)
  expect_message(again <- starburst_setup(region), "is there and as it should be")
  expect_identical(again, record)
  expect_identical(readLines(file), before)
  expect_silent(withr::with_options(list(starburst.quiet = TRUE), starburst_setup(region)))

  # Nothing but the image is missing.
  withr::with_options(list(starburst.quiet = TRUE), ill <- starburst_doctor())
  expect_identical(ill$check[!ill$ok], "image")
  own <- paste0(record$repository, ":", packageVersion("starburst"))
  expect_match(ill$detail[!ill$ok], own, fixed = TRUE)
  expect_match(ill$remedy[!ill$ok], "starburst_image_build()", fixed = TRUE)
  told <- capture_messages(starburst_setup(region))
  expect_match(told, "There is no image", fixed = TRUE, all = FALSE)
  expect_match(told, "`starburst_image_build()` makes it", fixed = TRUE, all = FALSE)
  for (tag in c("a", "b", "c", "d", as.character(packageVersion("starburst")))) {
    ask_aws("image", aws$endpoint, record$repository, tag)
  }
  well <- suppressMessages(starburst_doctor())
  expect_true(all(well$ok))
  expect_output(print(well), "bucket: `starburst-.*`: written, refused, deleted")
  expect_match(suppressMessages(starburst_doctor(cpu = 8))$remedy[[10]], "starburst_request_quota_increase")

  # Instances. moto cannot update their stacks, so each is made once.
  expect_error(starburst_setup_ec2("m5.large", max_instances = 0), class = "starburst_error_invalid_input")
  made <- c(
    suppressMessages(starburst_setup_ec2("c7g.large", use_spot = TRUE)),
    suppressMessages(starburst_setup_ec2("m5.large", use_spot = "fallback"))
  )
  expect_identical(
    made,
    c("starburst-ec2-c7g-large-spot", "starburst-ec2-m5-large-spot", "starburst-ec2-m5-large-ondemand")
  )
  expect_setequal(strsplit(starburst:::account_settings()$instances, ",")[[1]], made)

  # The first session on a type makes its instances, and the second finds them.
  on_ec2 <- function(...) {
    starburst_session(launch_type = "EC2", instance_type = "c7g.xlarge", cpu = 3, memory = "7GB", ...)
  }
  said <- capture_messages(session <- on_ec2())
  expect_match(said[[1]], "c7g.xlarge are used for the first time.*costs nothing while no worker runs")
  expect_match(said, "starburst-ec2-c7g-xlarge-ondemand", all = FALSE)
  session$cleanup(force = TRUE)
  made <- c(made, "starburst-ec2-c7g-xlarge-ondemand")
  said <- capture_messages(session <- on_ec2())
  expect_false(any(grepl("for the first time", said)))
  session$cleanup(force = TRUE)
  # What cannot be makes none.
  expect_error(on_ec2(use_spot = TRUE, max_hourly_cost = 0.001), class = "starburst_error_cost")
  cnd <- expect_error(
    starburst_session(launch_type = "EC2", instance_type = "m6i.large", memory = "8GB"),
    class = "starburst_error_invalid_input"
  )
  expect_identical(cnd$arg, "cpu")
  expect_setequal(strsplit(starburst:::account_settings()$instances, ",")[[1]], made)
  # Who may not make them is told who can.
  cnd <- withr::with_envvar(
    c(AWS_ENDPOINT_URL_CLOUDFORMATION = aws$denied),
    expect_error(
      suppressMessages(starburst_session(
        launch_type = "EC2",
        instance_type = "c6i.2xlarge",
        use_spot = "fallback"
      )),
      class = "starburst_error_permission"
    )
  )
  command <- "starburst_setup_ec2(\"c6i.2xlarge\", use_spot = \"fallback\", region = \"eu-central-1\", stack = \"starburst\")"
  expect_match(conditionMessage(cnd), command, fixed = TRUE)
  expect_setequal(strsplit(starburst:::account_settings()$instances, ",")[[1]], made)
  expect_message(starburst_setup(region), "as it should be")
  expect_setequal(strsplit(starburst:::account_settings()$instances, ",")[[1]], made)

  # Quotas.
  ask_aws("definition", aws$endpoint, record$execution_role)
  task <- ask_aws("task", aws$endpoint, record$cluster, "no-such-session")
  quotas <- starburst_quota_status()
  expect_identical(quotas$limit, rep(6, 4))
  expect_identical(quotas$in_use, c(1, 0, NA, NA))
  expect_identical(nrow(starburst_check_quota_request()), 0L)
  expect_message(asked <- starburst_request_quota_increase(100), "PENDING")
  expect_identical(asked$vcpus, 100)
  expect_identical(starburst_check_quota_request(), asked)
  expect_identical(starburst_quota_status()$pending, c(100, NA, NA, NA))
  expect_snapshot(error = TRUE, {
    starburst_request_quota_increase(200)
    starburst_request_quota_increase(5, "EC2")
  })

  # Logs by the ids of workers.
  ask_aws("lines", aws$endpoint, record$log_group, "starburst/worker/w1", "30")
  lines <- starburst:::aws_lines(record, c("w1", "not-yet"), 2)
  expect_identical(lines$line, c("line 28", "line 29"))
  expect_identical(lines$worker, c("w1", "w1"))
  expect_identical(nrow(starburst:::aws_lines(record, character(), 2)), 0L)

  # Images.
  expect_error(starburst_cleanup_ecr(), class = "starburst_error_invalid_input")
  gone <- suppressMessages(starburst_cleanup_ecr(keep = 3, ask = FALSE))
  expect_identical(nrow(gone), 2L)
  expect_message(starburst_cleanup_ecr(keep = 3, ask = FALSE), "nothing to clean up")

  # The task is too young to be left over, and its definition is in use.
  local_store()
  # The definition of the workers on EC2 is not used any more.
  gone <- suppressMessages(starburst_cleanup(ask = FALSE))
  expect_identical(gone$kind, "task definition")
  expect_message(starburst_cleanup(ask = FALSE), "nothing to clean up")
  ask_aws("definition", aws$endpoint, record$execution_role)
  gone <- suppressMessages(starburst_cleanup(older_than = 0, ask = FALSE))
  # The session on EC2 named what its workers need.
  expect_identical(gone$kind, c("environment", "task definition"))
  expect_match(gone$id[[2]], "starburst-test:2")

  # A teardown says what goes, and takes all of it.
  ask_aws("objects", aws$endpoint, record$bucket, "1100")
  cnd <- expect_error(starburst_teardown(), class = "starburst_error_invalid_input")
  expect_match(conditionMessage(cnd), "3 sessions and 1,099 objects")
  expect_match(conditionMessage(cnd), "3 images")
  expect_match(conditionMessage(cnd), "1 running task")
  expect_match(conditionMessage(cnd), "starburst-ec2-c7g-large-spot")
  withr::with_options(list(starburst.quiet = TRUE), gone <- starburst_teardown(ask = FALSE))
  # 1,100 objects, two more versions and a delete marker.
  expect_identical(gone$objects, 1103)
  expect_identical(
    gone[c("tasks", "images", "definitions", "stacks")],
    list(tasks = 1, images = 3, definitions = 1, stacks = 5)
  )
  expect_false(starburst_is_configured())
  expect_identical(
    ask_aws("left", aws$endpoint),
    c("buckets 0", "stacks 0", "repositories 0", "definitions other:1 other:2")
  )

  # Once more, there is nothing to do.
  expect_message(starburst_teardown(region, ask = FALSE), "nothing to take away")
})
