#' Detached sessions
#'
#' A session is a queue of tasks that outlives the R process that made it.
#' Submit work, close R, and collect the results later, from any R process on
#' a machine that sees the same store.
#'
#' `starburst_session()` makes a session, `starburst_session_attach()` returns
#' to one, `starburst_list_sessions()` shows which there are.
#'
#' ## Where a session lives
#' In its store: the option `starburst.store`, the environment variable
#' `STARBURST_STORE`, or a folder of `tools::R_user_dir("starburst", "data")`.
#' A store is a directory, or a bucket of S3 or of a server that speaks S3,
#' written `"s3://bucket/folder"`. Credentials, region and endpoint of a bucket
#' come from where all AWS tools take them: `AWS_*` environment variables,
#' profiles, single sign-on, and the roles of containers and instances.
#' With `launch_type = "FARGATE"` or `"EC2"` the store is the bucket of the stack,
#' whatever is chosen. `starburst_session_attach()` and
#' `starburst_list_sessions()` look in the store that is chosen; if none is, on
#' this machine and in the buckets of all stacks that are known and fit `region`.
#'
#' ## How long workers stay
#' With `launch_type = "LOCAL"` workers are processes of this machine. They go on when R ends, and leave when they have found nothing to
#' do for `idle_timeout` seconds, or `absolute_timeout` seconds after the
#' session was made. Work that is left then waits: attach, `extend()` and
#' `collect(wait = TRUE)` start workers again.
#'
#' On AWS the same holds, and more: while no R is attached, one of the workers
#' leads. It starts workers as far as quota and ceilings allow, replaces lost
#' ones, and ends the session when `max_total_cost` is spent. If all workers have
#' left, or all were lost at once, nobody is there to start others, and the session
#' stands still until an R attaches to it and waits for results. Objects in the bucket of a
#' stack are deleted 30 days after they were written, or as `object_expiry_days`
#' of [starburst_setup()] says, results too.
#'
#' ## What is safe when
#' `submit()` returns at once; the task is written to the store in the
#' background within milliseconds. `flush()`, `status()`, `collect()` and the
#' end of R wait until everything is written. Only a `kill -9` of R can lose
#' what was submitted in the last moment.
#'
#' ## When a worker is lost
#' A worker that stops answering loses its tasks to others after its lease: 30 seconds
#' with a directory, 90 with S3, or `options(starburst.lease = )` seconds (3 to
#' 3600) as they are when the session is made. A worker whose process is known to
#' have ended loses them at once. Whatever a worker says after that does not count.
#'
#' With `options(starburst.backup_tasks = TRUE)`, as it is when the session is made, a worker that
#' has nothing else to do joins a task that takes three times as long as the others,
#' and the first of the two that is done counts. The task's code then runs twice at once.
#'
#' @inheritParams starburst
#' @param absolute_timeout (number) Seconds after which the session's workers
#'   stop, whatever they do. Default 604800, which is a week. At most as long as the bucket of the
#'   stack keeps objects. See `extend()`.
#' @param session_id (string) The id that `session$id` showed.
#'
#' @returns `starburst_session()` and `starburst_session_attach()`: a
#'   [StarburstSession]. `starburst_list_sessions()`: a data frame with one row
#'   a session, oldest first: `session_id`, `created_at` and `last_activity`
#'   (date-times), `total_tasks`, `pending`, `running`, `completed`, `failed`,
#'   `cancelled` (counts), `state` (`"open"`, `"expired"` or `"closed"`;
#'   `"damaged"` where something of the session cannot be read or is gone;
#'   `"other version"` where another version of starburst made it; counts and
#'   times that cannot be known are `NA` then), `cost`
#'   (USD, as whoever led the session wrote it down last: every 20 to 40 seconds
#'   while tasks are open, and when it left; 0 for workers of this machine). It is
#'   `NA` where that is written nowhere, which `$status()` of the session adds up:
#'   for sessions of a `plan()`, for workers of this machine with a store on S3,
#'   whose requests cost, and where the price of a worker is not known. `problem`
#'   (string) says why a session is `"damaged"` or of another version, and is
#'   `NA` for others.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument out of range,
#' `starburst_error_not_found` for an id that no session has,
#' `starburst_error_permission` for a store that you may not write to,
#' `starburst_error_unauthenticated` without valid AWS credentials,
#' `starburst_error_version` for a session of another version.
#' `starburst_session()` also `starburst_error_environment` for a package of
#' `environment` that has no source that a worker can reach. What waits for results
#' raises it for packages that cannot be installed for workers, with the last lines of the log.
#' `starburst_session()` on AWS also `starburst_error_not_set_up` if no stack is
#' known, and `starburst_error_cost` and `starburst_error_quota` for what a ceiling
#' or the account's quota does not allow.
#'
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' session <- starburst_session(workers = 2, launch_type = "LOCAL")
#' session$submit(sum(1:10))
#' session$map(1:3, function(x) x^2)
#' session$collect(wait = TRUE)
#'
#' again <- starburst_session_attach(session$id)
#' again$status()
#' starburst_list_sessions()
#' again$cleanup(force = TRUE)
#' options(old)
#' @export
starburst_session <- function(
  workers = 10,
  cpu = 4,
  memory = "8GB",
  region = NULL,
  timeout = NULL,
  idle_timeout = 300,
  absolute_timeout = 604800,
  launch_type = "FARGATE",
  instance_type = NULL,
  use_spot = FALSE,
  image = NULL,
  environment = "auto",
  max_hourly_cost = NULL,
  max_total_cost = NULL,
  auto_quota_request = FALSE
) {
  given <- with_config(mget(launch_arguments), names(match.call())[-1L])
  settings <- check_settings(given, absolute_timeout)
  handle <- create_session(settings, detached = TRUE, call = rlang::current_env())
  StarburstSession$new(handle, settings$object_life)
}

#' @rdname starburst_session
#' @export
starburst_session_attach <- function(session_id, region = NULL) {
  check_string(session_id, "session_id", rlang::current_env())
  check_string(region, "region", rlang::current_env(), null = TRUE)
  found <- attach_session(session_id, region, rlang::current_env())
  StarburstSession$new(found$handle, found$life)
}

#' @rdname starburst_session
#' @export
starburst_list_sessions <- function(region = NULL) {
  check_string(region, "region", rlang::current_env(), null = TRUE)
  call <- rlang::current_env()
  listed <- lapply(session_places(region, call), function(place) {
    as.data.frame(unwrap_native(rs_sessions(place_config(place, call)), call))
  })
  rows <- do.call(rbind, listed)
  rows <- rows[order(rows$created_at), , drop = FALSE]
  rownames(rows) <- NULL
  rows$environment <- NULL
  rows$created_at <- as.POSIXct(rows$created_at, origin = "1970-01-01")
  rows$last_activity <- as.POSIXct(rows$last_activity, origin = "1970-01-01")
  rows
}
