# A stand-in for AWS that runs real workers, for the time of one test: ECS, quotas and S3, and a stack in them. The
# program is named by STARBURST_AWS_STANDIN.
local_ecs <- function(..., config = list(), stack = NULL, scripts = NULL, env = parent.frame()) {
  program <- Sys.getenv("STARBURST_AWS_STANDIN")
  skip_if(!file.exists(program), "STARBURST_AWS_STANDIN does not name the program that stands in for AWS")
  skip_on_s3("the stand-in has an S3 of its own, and these run on it already")
  library <- dirname(system.file(package = "starburst"))
  # Below those that systems give to whoever asks for any.
  ports <- c(parallelly::freePort(10000:32767), parallelly::freePort(10000:32767))
  address <- sprintf("http://127.0.0.1:%d", ports)
  keys <- c(
    AWS_ACCESS_KEY_ID = "AKIASTARBURSTTESTKIT",
    AWS_SECRET_ACCESS_KEY = "starburst-testkit-secret-of-nobody",
    AWS_EC2_METADATA_DISABLED = "true",
    AWS_ENDPOINT_URL = address[[1]],
    AWS_ENDPOINT_URL_S3 = address[[2]]
  )
  for_workers <- c(keys, R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep))
  args <- c(
    c("--port", ports[[1]], "--s3", "--s3-port", ports[[2]], "--cluster", "lab"),
    c("--spot-notice-ms", 2000, "--stop-timeout-ms", 4000),
    rbind("--env", paste0(names(for_workers), "=", for_workers)),
    ...,
    c("--", file.path(library, "starburst", "bin", "starburst-worker")),
    c(
      "--r-home",
      R.home(),
      "--scripts",
      if (is.null(scripts)) file.path(library, "starburst", "worker") else scripts
    )
  )
  said <- withr::local_tempfile(.local_envir = env)
  # It ends when its standard input is closed.
  running <- pipe(paste(paste(shQuote(c(program, args)), collapse = " "), ">", shQuote(said), "2>&1"), "w")
  withr::defer(suppressWarnings(close(running)), envir = env)
  wait_for(function() file.exists(said) && length(readLines(said, warn = FALSE)) >= 2L)
  folder <- withr::local_tempdir("config", .local_envir = env)
  withr::local_envvar(
    c(keys, AWS_REGION = "us-east-1", R_USER_CONFIG_DIR = folder, STARBURST_STORE = ""),
    .local_envir = env
  )
  # The packages of the machine that runs the tests are not what its workers should install.
  withr::local_options(starburst.store = NULL, starburst.environment = "none", .local_envir = env)
  role <- function(name) paste0("arn:aws:iam::123456789012:role/starburst-", name)
  more <- stack
  stack <- c(
    kind = "stack",
    stack = "starburst",
    region = "us-east-1",
    bucket = "starburst",
    cluster = "lab",
    subnets = "subnet-1,subnet-2",
    security_group = "sg-1",
    execution_role = role("execution"),
    task_role = role("task"),
    log_group = "starburst-logs",
    repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/starburst-images",
    more
  )
  file <- file.path(folder, "R", "starburst", "config.dcf")
  dir.create(dirname(file), recursive = TRUE)
  write.dcf(rbind(stack), file)
  address[[1]]
}

# What the stand-in answers to a request of ours; `aws` is what local_ecs() returned.
ask_ecs <- function(aws, what, ...) {
  values <- vapply(list(...), function(x) utils::URLencode(as.character(x), reserved = TRUE), "")
  query <- if (length(values)) paste0("?", paste0(names(values), "=", values, collapse = "&"))
  found <- url(paste0(aws, "/-/", what, query))
  on.exit(close(found))
  readLines(found, warn = FALSE)
}

# Tasks that are not over.
running_tasks <- function(aws) {
  tasks <- strsplit(ask_ecs(aws, "tasks"), " ", fixed = TRUE)
  sum(vapply(tasks, function(task) task[[2]] != "STOPPED", NA))
}

count_of <- function(aws, what, name) {
  lines <- strsplit(ask_ecs(aws, what), " ", fixed = TRUE)
  found <- Filter(function(line) line[[1]] == name, lines)
  if (length(found)) as.numeric(found[[1]][[2]]) else 0
}
