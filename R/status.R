# The status of a session, and how it is printed.

session_status <- function(handle, id, call) {
  unwrap_native(rs_flush(handle), call)
  raw <- unwrap_native(rs_status(handle, TRUE), call)
  status <- c(
    raw$counts,
    list(
      session_id = id,
      state = raw$state,
      workers = as.data.frame(raw$workers),
      created_at = as.POSIXct(raw$created_at, origin = "1970-01-01"),
      deadline = as.POSIXct(raw$deadline, origin = "1970-01-01"),
      cost = raw$cost,
      cost_of_requests = raw$cost_of_requests,
      cost_per_hour = raw$cost_per_hour
    )
  )
  status <- c(status, pace_of(status), list(recent_errors = recent_errors(handle, call)))
  structure(status, class = "StarburstSessionStatus")
}

# Tasks ended per second since the session was made, and seconds until the rest has ended at that rate.
pace_of <- function(status) {
  age <- as.numeric(Sys.time()) - as.numeric(status$created_at)
  rate <- if (age > 0) (status$completed + status$failed) / age else 0
  list(throughput = rate, eta = if (rate > 0) (status$pending + status$running) / rate else NA_real_)
}

# The messages of the last three tasks that failed, by task id.
recent_errors <- function(handle, call) {
  failed <- unwrap_native(rs_failures(handle, 3), call)
  rlang::set_names(failed$message, failed$task_id)
}

# Small sums are shown as such, not as nothing.
dollars <- function(x) {
  if (x > 0 && x < 0.0001) {
    return("less than 0.0001")
  }
  formatC(x, format = "f", digits = if (x > 0 && x < 0.1) 4 else 2)
}

#' @export
print.StarburstSessionStatus <- function(x, ...) {
  line <- function(name, value) {
    cat(sprintf("  %-16s %s\n", paste0(name, ":"), value))
  }
  ended <- x$completed + x$failed + x$cancelled
  cat("Session Status:\n")
  line("Total tasks", fmt(x$total))
  line("Pending", fmt(x$pending))
  line("Running", fmt(x$running))
  line("Completed", fmt(x$completed))
  line("Failed", fmt(x$failed))
  if (x$cancelled > 0) {
    line("Cancelled", fmt(x$cancelled))
  }
  line("Progress", sprintf("%.1f%%", if (x$total > 0) 100 * ended / x$total else 0))
  if (is.na(x$cost)) {
    line("Cost", "not known: starburst has no price for these workers")
  } else if (x$cost > 0 && x$cost == x$cost_of_requests) {
    # Workers of this machine cost nothing.
    line("Cost", sprintf("%s USD so far, for requests to S3", dollars(x$cost)))
  } else if (x$cost > 0) {
    part <- if (x$cost_of_requests > 0) {
      sprintf(" (%s of it for requests to S3)", dollars(x$cost_of_requests))
    } else {
      ""
    }
    line(
      "Cost",
      sprintf("%s USD so far%s, %s USD an hour now", dollars(x$cost), part, dollars(x$cost_per_hour))
    )
  }
  if (x$state != "open") {
    line("State", x$state)
  }
  invisible(x)
}
