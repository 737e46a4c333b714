# Launch arguments, checked and completed: what every front door accepts.

# A session that ends with its R has no time limit of its own.
ten_years <- 10 * 365 * 86400

# `given` holds the launch arguments by name: mget(launch_arguments) in the function that has them.
check_settings <- function(
  given,
  absolute_timeout = ten_years,
  call = rlang::caller_env()
) {
  workers <- check_workers(given$workers, call)
  launch_type <- check_choice(given$launch_type, "launch_type", launch_types, call)
  size <- check_size(given$cpu, given$memory, call, launch_type)
  for (arg in c("region", "instance_type", "image")) {
    check_string(given[[arg]], arg, call, null = TRUE)
  }
  if (!identical(given$use_spot, "fallback")) {
    check_flag(given$use_spot, "use_spot", call)
  }
  environment <- check_environment(given$environment, call)
  for (arg in c("max_hourly_cost", "max_total_cost")) {
    check_number(given[[arg]], arg, 0, Inf, call, null = TRUE)
  }
  check_flag(given$auto_quota_request, "auto_quota_request", call)
  settings <- list(
    workers = workers,
    cpu = size$cpu,
    memory_mib = size$memory_mib,
    # No limit is Inf to the native side.
    timeout = check_number(given$timeout, "timeout", 1, Inf, call, null = TRUE) %||% Inf,
    idle_timeout = check_number(given$idle_timeout, "idle_timeout", 1, Inf, call),
    absolute_timeout = check_number(absolute_timeout, "absolute_timeout", 1, Inf, call),
    launch_type = launch_type
  )
  settings["region"] <- list(given$region)
  # Workers of this machine have the user's own library, unless the user asked for more than that.
  unasked <- launch_type == "LOCAL" && !"environment" %in% attr(given, "chosen")
  settings["environment"] <- list(if (!unasked) synced_environment(environment))
  if (settings$launch_type == "LOCAL") {
    refuse_what_is_not_local(given$image, call)
    check_local_secrets(call)
  } else {
    settings$aws <- check_aws(settings, given, call)
    # Where nothing is set up, this says so before anything else is done. With future before 1.40 a worker evaluates
    # the plan of its client once more, and has no configuration.
    if (!on_worker()) {
      record <- account_settings(settings$region, call = call)
      settings$object_life <- object_life(record)
      settings$absolute_timeout <- within_object_life(settings$absolute_timeout, record, call)
    }
  }
  settings
}

# Seconds after which the stack's bucket deletes an object of a session. Without a word of the stack it is the default of
# the template.
object_life <- function(record) as.numeric(record$object_expiry_days %||% 30) * 86400

# A session that outlived its objects would lose results, and then itself.
within_object_life <- function(absolute_timeout, record, call) {
  life <- object_life(record)
  if (absolute_timeout > life && absolute_timeout != ten_years) {
    allowed <- sprintf(
      "at most %s seconds: the bucket of the stack `%s` deletes objects after %s, see `object_expiry_days` of `starburst_setup()`",
      fmt(life),
      record$stack,
      count_of(life / 86400, "day")
    )
    abort_input("absolute_timeout", describe(absolute_timeout), allowed, call)
  }
  min(absolute_timeout, life)
}

# Whether this R evaluates the tasks of another one.
on_worker <- function() nzchar(Sys.getenv("STARBURST_WORKER"))

refuse_what_is_not_local <- function(image, call) {
  if (!is.null(image)) {
    abort_input(
      "image",
      describe(image),
      "NULL with launch_type = \"LOCAL\", which runs the R of this machine",
      call
    )
  }
}

# Where sessions are kept: a directory, or `s3://bucket/folder`.
store_place <- function(durable) {
  chosen <- getOption("starburst.store", Sys.getenv("STARBURST_STORE"))
  if (is_set(chosen)) {
    return(path.expand(chosen))
  }
  if (durable) {
    file.path(tools::R_user_dir("starburst", "data"), "store")
  } else {
    file.path(tempdir(), "starburst")
  }
}

# Where worker processes of this machine write their logs when the store is not a directory.
log_directory <- function(durable) {
  if (durable) {
    file.path(tools::R_user_dir("starburst", "data"), "logs")
  } else {
    file.path(tempdir(), "starburst-logs")
  }
}

# What the native side needs to know of this machine and this R.
native_config <- function(settings, detached, call = rlang::caller_env()) {
  # Text that is absent is NULL, and stays in the list.
  settings["region"] <- list(settings[["region"]])
  libraries <- paste(.libPaths(), collapse = .Platform$path.sep)
  attempts <- getOption("starburst.max_attempts", 3)
  check_number(attempts, "options(starburst.max_attempts = )", 1, 1000, rlang::caller_env(), whole = TRUE)
  backup <- getOption("starburst.backup_tasks", FALSE)
  check_flag(backup, "options(starburst.backup_tasks = )", rlang::caller_env())
  # 0 stands for what fits the store.
  lease <- getOption("starburst.lease", 0)
  if (!identical(lease, 0)) {
    check_number(lease, "options(starburst.lease = )", 3, 3600, rlang::caller_env())
    lease <- as.numeric(lease)
  }
  config <- c(
    settings,
    list(
      detached = detached,
      store = store_place(detached),
      logs = log_directory(detached),
      durable = detached,
      max_attempts = as.numeric(attempts),
      backup_tasks = backup,
      lease = lease,
      worker_program = worker_program(),
      r_home = R.home(),
      scripts = system.file("worker", package = "starburst", mustWork = TRUE),
      env_names = c("R_LIBS", "R_LIBS_USER"),
      env_values = c(libraries, libraries),
      r_major = as.numeric(R.version$major),
      r_minor = as.numeric(sub("[.].*", "", R.version$minor)),
      future = as.character(utils::packageVersion("future"))
    )
  )
  config["profile"] <- list(settings$profile)
  # What it comes to is found when a session is made.
  config["environment"] <- list(NULL)
  if (!is.null(settings$aws)) {
    on_aws <- aws_config(settings, call)
    config[c("aws", "region", "store")] <- on_aws[c("aws", "region", "store")]
    config["profile"] <- list(on_aws$profile)
  }
  # Rust takes text as UTF-8.
  rapply(config, enc2utf8, classes = "character", how = "replace")
}

worker_program <- function() {
  name <- if (.Platform$OS.type == "windows") "starburst-worker.exe" else "starburst-worker"
  system.file("bin", name, package = "starburst", mustWork = TRUE)
}

# Settings that only name the place, for attaching and listing.
place_settings <- function(region = NULL) {
  list(
    region = region,
    workers = 1,
    cpu = 1,
    memory_mib = 2048,
    timeout = Inf,
    idle_timeout = 300,
    absolute_timeout = 86400,
    launch_type = "LOCAL"
  )
}
