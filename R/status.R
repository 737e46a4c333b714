# The status of a session, and how it is printed.

session_status <- function(handle, id) {
  unwrap_native(rs_flush(handle))
  raw <- unwrap_native(rs_status(handle, TRUE))
  status <- c(
    raw$counts,
    list(
      session_id = id,
      state = raw$state,
      workers = as.data.frame(raw$workers),
      created_at = as.POSIXct(raw$created_at, origin = "1970-01-01"),
      deadline = as.POSIXct(raw$deadline, origin = "1970-01-01"),
      cost = 0
    )
  )
  structure(status, class = "StarburstSessionStatus")
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
  if (x$state != "open") {
    line("State", x$state)
  }
  invisible(x)
}
