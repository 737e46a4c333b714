#' Clean up what nobody uses any more
#'
#' `starburst_cleanup()` deletes sessions that are closed or past their time
#' limit, with their results, what is left of sessions that were deleted
#' before, and the packages that were installed for workers and that no session
#' asked for since; and where [starburst_setup()] was run also stops tasks whose session
#' has ended, and deletes task definitions that no task uses.
#' A session whose state is `"damaged"` or `"other version"` is left alone, with
#' its workers: name it in `session_ids` to delete it.
#' `starburst_cleanup_ecr()` deletes all but the newest images.
#'
#' It looks in the store that `options(starburst.store = )` or
#' `STARBURST_STORE` chooses, or else in that of this machine, and in the
#' bucket of the stack. A deleted session leaves something where a worker lost
#' its network, or stood still, while the session was deleted, and wrote later.
#'
#' @inheritParams starburst_setup
#' @param older_than (number or difftime) Only what has been unused for so long;
#'   a number is in seconds. Default 7 days. What is left of sessions that were
#'   deleted goes a day after it was written.
#' @param session_ids (character or `NULL`) Only these sessions are deleted,
#'   whatever their state and age, with their results. Default `NULL`.
#' @param keep (number) How many of the newest images stay. Default 3.
#' @param ask (logical) Whether to show what goes and ask. A script must give
#'   `FALSE`.
#' @param stack (string or `NULL`) Name of the stack. Default `NULL`: the one
#'   that is known.
#'
#' @returns `starburst_cleanup()`: a data frame of what was deleted, invisibly:
#'   `kind` (`"session"`, `"leftover"`, `"environment"`, `"task"` or `"task definition"`), `id`;
#'   that of a leftover is the id of the session that it is of.
#'   `starburst_cleanup_ecr()`: a data frame of the images deleted, invisibly:
#'   `digest`, `tags`, `pushed_at` (date-time), `bytes`. Both are without rows
#'   if the answer was no.
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is wrong, also for a
#' script without `ask = FALSE`. `starburst_cleanup_ecr()` without a stack is a
#' `starburst_error_not_set_up`.
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' session <- starburst_session(workers = 1, launch_type = "LOCAL")
#' session$cleanup()
#' if (!starburst_is_configured()) {
#'   starburst_cleanup(older_than = 0, ask = FALSE)
#' }
#' options(old)
#' @export
starburst_cleanup <- function(
  older_than = as.difftime(7, units = "days"),
  region = NULL,
  profile = NULL,
  stack = NULL,
  ask = interactive(),
  session_ids = NULL
) {
  call <- rlang::current_env()
  missing_ask <- missing(ask)
  check_characters(session_ids, "session_ids", call)
  if (!is.null(session_ids) && length(session_ids) == 0L) {
    abort_input("session_ids", "without an id", "ids of `starburst_list_sessions()`, or NULL", call)
  }
  seconds <- if (inherits(older_than, "difftime")) as.numeric(older_than, units = "secs") else older_than
  seconds <- check_number(seconds, "older_than", 0, Inf, call)
  check_place(region, profile, stack, call)
  named <- !is.null(region) || !is.null(profile) || !is.null(stack)
  record <- if (named || starburst_is_configured()) account_settings(region, profile, stack, call)
  places <- cleanup_places(record, region)
  if (!is.null(session_ids)) {
    return(delete_named(places, session_ids, ask, missing_ask, call))
  }
  stale <- stale_sessions(places, seconds, call)
  unused <- if (!is.null(record)) clean_account(record, stale$live, seconds, TRUE, call)
  found <- rbind(
    gone_frame("session", vapply(stale$old, `[[`, "", "id")),
    gone_frame("leftover", sweep_places(places, TRUE, call)),
    gone_frame("environment", vapply(stale$environments, `[[`, "", "id")),
    gone_frame("task", unused$tasks),
    gone_frame("task definition", unused$definitions)
  )
  if (nrow(found) == 0L) {
    say("there is nothing to clean up")
    return(invisible(found))
  }
  counts <- table(factor(found$kind, unique(found$kind)))
  each <- mapply(count_of, as.numeric(counts), names(counts))
  lines <- c("This goes for good:", paste("-", each))
  if (!may_go_on(lines, "Delete?", ask, missing_ask, call)) {
    say("nothing was deleted")
    return(invisible(found[0L, ]))
  }
  for (session in stale$old) {
    unwrap_native(rs_delete_session(session$config, session$id), call)
  }
  sweep_places(places, FALSE, call)
  for (environment in stale$environments) {
    unwrap_native(rs_delete_environment(environment$config, environment$id), call)
  }
  if (!is.null(record)) {
    gone <- clean_account(record, stale$live, seconds, FALSE, call)
    stored <- found$kind %in% c("session", "leftover", "environment")
    kept <- stored | found$id %in% c(gone$tasks, gone$definitions)
    found <- found[kept, ]
  }
  invisible(found)
}

# Deletes the sessions that the user names, wherever they are.
delete_named <- function(places, session_ids, ask, missing_ask, call) {
  found <- list()
  for (config in places) {
    for (id in intersect(session_ids, unwrap_native(rs_sessions(config), call)$session_id)) {
      found[[id]] <- config
    }
  }
  unknown <- setdiff(session_ids, names(found))
  if (length(unknown)) {
    abort_input("session_ids", paste(unknown, collapse = ", "), "ids of `starburst_list_sessions()`", call)
  }
  gone <- gone_frame("session", names(found))
  lines <- c("This goes for good:", paste("- the session", names(found)))
  if (!may_go_on(lines, "Delete?", ask, missing_ask, call)) {
    say("nothing was deleted")
    return(invisible(gone[0L, ]))
  }
  for (id in names(found)) {
    unwrap_native(rs_delete_session(found[[id]], id), call)
  }
  invisible(gone)
}

gone_frame <- function(kind, ids) data.frame(kind = rep(kind, length(ids)), id = as.character(ids))

# Where sessions may be: the store that is chosen, and the bucket of the stack.
cleanup_places <- function(record, region) {
  chosen <- native_config(place_settings(region), detached = TRUE)
  if (is.null(record)) {
    return(list(chosen))
  }
  bucket <- native_config(place_settings(record$region), detached = TRUE)
  bucket$store <- paste0("s3://", record$bucket)
  bucket["profile"] <- list(record$profile)
  if (identical(chosen$store, bucket$store)) list(bucket) else list(chosen, bucket)
}

# Sessions that are over for so long, environments that were not asked for in that time, and the ids of sessions that live.
stale_sessions <- function(places, seconds, call) {
  old <- list()
  environments <- list()
  live <- character()
  before <- as.numeric(Sys.time()) - seconds
  for (config in places) {
    rows <- unwrap_native(rs_sessions(config), call)
    # A session that this version cannot use may be at work for somebody else: only its user knows.
    over <- rows$state %in% c("closed", "expired")
    live <- c(live, rows$session_id[!over])
    for (id in rows$session_id[over & rows$last_activity < before]) {
      old <- c(old, list(list(id = id, config = config)))
    }
    made <- unwrap_native(rs_environments(config), call)
    for (id in setdiff(made$id[made$used_at < before], rows$environment[!over])) {
      environments <- c(environments, list(list(id = id, config = config)))
    }
  }
  list(old = old, environments = environments, live = live)
}

# Deletes what is left of deleted sessions, or only looks for it; returns their ids.
sweep_places <- function(places, look_only, call) {
  unlist(lapply(places, function(config) unwrap_native(rs_sweep(config, look_only), call)))
}

clean_account <- function(record, live, seconds, look_only, call) {
  job <- rs_clean_up(
    access_of(record),
    record$cluster,
    record$execution_role,
    as.character(live),
    seconds,
    look_only
  )
  follow(unwrap_native(job, call), "looking around", call)
}

#' @rdname starburst_cleanup
#' @export
starburst_cleanup_ecr <- function(
  keep = 3,
  region = NULL,
  profile = NULL,
  stack = NULL,
  ask = interactive()
) {
  call <- rlang::current_env()
  missing_ask <- missing(ask)
  check_number(keep, "keep", 0, 1000, call, whole = TRUE)
  record <- account_settings(region, profile, stack, call)
  clean <- function(look_only) {
    rows <- unwrap_native(rs_clean_images(access_of(record), record$repository, keep, look_only), call)
    rows$pushed_at <- as.POSIXct(rows$pushed_at, origin = "1970-01-01")
    as.data.frame(rows)
  }
  found <- clean(TRUE)
  if (nrow(found) == 0L) {
    say("there is nothing to clean up")
    return(invisible(found))
  }
  size <- sprintf("%.1f GB", sum(found$bytes) / 1e9)
  lines <- sprintf(
    "This deletes %s (%s) and keeps the newest %s.",
    count_of(nrow(found), "image"),
    size,
    fmt(keep)
  )
  if (!may_go_on(lines, "Delete?", ask, missing_ask, call)) {
    say("nothing was deleted")
    return(invisible(found[0L, ]))
  }
  invisible(clean(FALSE))
}
