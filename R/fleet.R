# A fleet: the session behind a plan(), made at the first future and revived after it was stopped.

# The fleet for these settings; plans with the same settings share one.
fleet_for <- function(settings) {
  key <- settings$key
  fleet <- the$fleets[[key]]
  if (is.null(fleet) || fleet$pid != Sys.getpid()) {
    fleet <- new_fleet(settings)
    the$fleets[[key]] <- fleet
  }
  fleet
}

new_fleet <- function(settings) {
  fleet <- new.env(parent = emptyenv())
  fleet$settings <- settings
  fleet$pid <- Sys.getpid()
  fleet$handle <- NULL
  # Unresolved futures by task id.
  fleet$futures <- new.env(parent = emptyenv())
  # Near-live conditions by task id that were not signalled yet.
  fleet$signals <- new.env(parent = emptyenv())
  # The round in which unresolved futures are asked, when it began, and what had changed by then (R/future.R).
  fleet$round <- 0
  fleet$round_began <- -Inf
  fleet$seen <- -1
  fleet
}

# `packages` and `code` are those of the first task, and looked at only for a session with an environment of its own.
fleet_handle <- function(fleet, packages = NULL, code = NULL, call = quote(plan(starburst))) {
  fleet_renew(fleet)
  if (is.null(fleet$handle)) {
    fleet$handle <- create_session(fleet$settings, detached = FALSE, call, packages, code)
    # R runs finalizers newest first: registered after the handle was made, this one still finds it.
    reg.finalizer(fleet, function(fleet) fleet_stop(fleet, keep = FALSE), onexit = TRUE)
  }
  fleet$handle
}

# A session remembers each of its tasks, about a kilobyte in memory and on disk. A plan or cluster on this machine that has
# had as many as `the$renew_after` goes on in a new session, once nothing of the old one is open or unread. On AWS it stays:
# new workers would cost minutes, and a session's ceiling of costs is its own.
fleet_renew <- function(fleet) {
  if (is.null(fleet$handle) || fleet$settings$launch_type != "LOCAL" || length(fleet$futures) > 0L) {
    return(invisible(FALSE))
  }
  counts <- rs_counts(fleet$handle)
  if (is.null(counts$total) || counts$total < the$renew_after || counts$pending + counts$running > 0) {
    return(invisible(FALSE))
  }
  fleet_stop(fleet)
}

fleet_free <- function(fleet) {
  open <- 0
  if (!is.null(fleet$handle)) {
    counts <- unwrap_native(rs_counts(fleet$handle))
    open <- counts$pending + counts$running
  }
  max(0, fleet$settings$workers - open)
}

# Starts the first worker ahead of the first future.
fleet_warm <- function(fleet) {
  if (!is.null(fleet$handle)) {
    return(invisible(fleet))
  }
  expr <- quote(NULL)
  unwrap_native(rs_submit(fleet_handle(fleet), list(expr = expr, globals = list()), FALSE, NULL, NULL))
  unwrap_native(rs_engage(fleet$handle))
  invisible(fleet)
}

# Stops the workers and deletes the session. Safe to call twice, and in a forked child. Futures that have
# ended keep their results; with `keep = FALSE`, at R's end, nobody will ask for them.
fleet_stop <- function(fleet, keep = TRUE) {
  handle <- fleet$handle
  # What is shared is in the session.
  fleet$alike <- NULL
  if (is.null(handle) || fleet$pid != Sys.getpid() || !rs_session_is_live(handle)) {
    fleet$handle <- NULL
    return(invisible(FALSE))
  }
  if (keep) {
    fleet_settle_futures(fleet)
  }
  fleet$handle <- NULL
  stopped <- rs_delete(handle)
  invisible(!inherits(stopped, "extendr_error"))
}

# The session is gone, and nobody deleted it through this fleet: its futures end, and the next one makes a new session.
fleet_lose <- function(fleet, cnd) {
  handle <- fleet$handle
  for (id in ls(fleet$futures)) {
    f <- fleet$futures[[id]]
    f[["result"]] <- future_error(f, cnd)
    f[["state"]] <- "failed"
  }
  fleet$futures <- new.env(parent = emptyenv())
  fleet$signals <- new.env(parent = emptyenv())
  fleet$alike <- NULL
  fleet$handle <- NULL
  if (!is.null(handle)) {
    # Stops its loops and its workers; there is nothing left to delete.
    rs_delete(handle)
  }
}

# Fetches what has ended, and ends the other futures, so that value() says so instead of waiting.
fleet_settle_futures <- function(fleet) {
  ids <- ls(fleet$futures)
  known <- rs_known(fleet$handle, ids)
  for (i in seq_along(ids)) {
    f <- fleet$futures[[ids[[i]]]]
    if (is.character(known) && known[[i]] %in% ended_words) {
      try(result(f), silent = TRUE)
    } else {
      f[["result"]] <- interrupt_error(f, "its workers were stopped because the plan changed")
      f[["state"]] <- "interrupted"
    }
  }
  fleet$futures <- new.env(parent = emptyenv())
}

# Takes near-live conditions out of the session and keeps them for their futures.
fleet_take_signals <- function(fleet) {
  signals <- unwrap_native(rs_signals(fleet$handle))
  for (i in seq_along(signals$ids)) {
    id <- signals$ids[[i]]
    fleet$signals[[id]] <- c(fleet$signals[[id]], list(signals$conditions[[i]]))
  }
}
