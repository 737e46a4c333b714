#' What workers printed
#'
#' The last lines of the logs of a session's workers, or what one task printed.
#' Elements of a map keep their output with their value, not in a worker's log: give
#' `task_id` to see it.
#'
#' @param session_id (string or `NULL`) The session. Default `NULL`: the one
#'   with the latest activity.
#' @param task_id (string or `NULL`) A task of it: then what it printed. Default
#'   `NULL`: all workers.
#' @param last_n (number) Lines of each worker, at most. Default 50.
#' @param region (string or `NULL`) AWS region of the store, as for
#'   [starburst_session_attach()].
#'
#' @returns A data frame of class `StarburstLogs`, oldest first for each worker:
#'   `worker` (id; for a task its id), `at` (date-time; `NA` for workers of this
#'   machine), `line`.
#' @section Conditions:
#' `starburst_error_not_found` if there is no such session or task, and those of
#' [starburst_session_attach()].
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' session <- starburst_session(workers = 1, launch_type = "LOCAL")
#' id <- session$submit(print("from a worker"))
#' session$collect(wait = TRUE)
#' starburst_logs(session$id, id)
#' session$cleanup(force = TRUE)
#' options(old)
#' @export
starburst_logs <- function(session_id = NULL, task_id = NULL, last_n = 50, region = NULL) {
  call <- rlang::current_env()
  check_string(session_id, "session_id", call, null = TRUE)
  check_string(task_id, "task_id", call, null = TRUE)
  check_string(region, "region", call, null = TRUE)
  check_number(last_n, "last_n", 1, 1e6, call, whole = TRUE)
  session_id <- session_id %||% latest_session(region, call)
  handle <- attach_session(session_id, region, call)$handle
  on.exit(leave_quietly(handle))
  found <- if (is.null(task_id)) {
    session_logs(handle, region, last_n, call)
  } else {
    local_lines(task_id, task_log(handle, task_id, call), last_n)
  }
  structure(found, class = c("StarburstLogs", "data.frame"))
}

latest_session <- function(region, call) {
  sessions <- starburst_list_sessions(region)
  if (nrow(sessions) == 0L) {
    starburst_abort(
      c("there is no session, so no log", i = "`starburst_session()` makes one"),
      kind = "not_found",
      call = call
    )
  }
  sessions$session_id[[which.max(sessions$last_activity)]]
}

session_logs <- function(handle, region, last_n, call) {
  status <- unwrap_native(rs_status(handle, TRUE), call)
  workers <- status$workers$worker
  if (length(workers) == 0L) {
    workers <- last_worker(handle, call)
  }
  if (status$launch_type != "LOCAL") {
    return(aws_lines(account_settings(region, call = call), workers, last_n, call))
  }
  # The end of a log in bytes: lines longer than this on average are rare.
  bytes <- min(last_n * 400, 1e6)
  texts <- lapply(workers, function(worker) unwrap_native(rs_worker_log(handle, worker, bytes), call))
  do.call(rbind, c(list(no_lines()), Map(local_lines, workers, texts, last_n)))
}

# In S3 a worker tells of itself only after a while; a task that has ended tells of its worker at once.
last_worker <- function(handle, call) {
  tasks <- unwrap_native(rs_tasks(handle), call)
  ended <- utils::tail(tasks$id[tasks$state %in% c("completed", "failed")], 1L)
  if (length(ended) == 0L) {
    return(character())
  }
  worker <- fetch_row(unwrap_native(rs_fetch(handle, ended), call), 1L)$worker
  worker[!is.na(worker)]
}

no_lines <- function() data.frame(worker = character(), at = as.POSIXct(numeric()), line = character())

local_lines <- function(worker, text, last_n) {
  lines <- utils::tail(strsplit(text, "\n", fixed = TRUE)[[1L]], last_n)
  data.frame(
    worker = rep(worker, length(lines)),
    at = as.POSIXct(rep(NA_real_, length(lines))),
    line = lines
  )
}

# The last lines of workers in CloudWatch Logs. `record` is what account_settings() returns.
aws_lines <- function(record, workers, last_n, call = rlang::caller_env()) {
  streams <- paste0("starburst/worker/", workers)
  streams <- streams[seq_along(workers)]
  found <- unwrap_native(rs_log_tails(access_of(record), record$log_group, streams, last_n), call)
  rows <- data.frame(
    worker = basename(found$stream),
    at = as.POSIXct(found$at, origin = "1970-01-01"),
    line = found$line
  )
  # Marks behind the output of tasks are for starburst.
  rows[!startsWith(rows$line, "[starburst] bytes "), , drop = FALSE]
}

#' @export
print.StarburstLogs <- function(x, ...) {
  for (worker in unique(x$worker)) {
    rows <- x[x$worker == worker, ]
    cat(worker, ":\n", sep = "")
    at <- ifelse(is.na(rows$at), "", paste0(format(rows$at, "%H:%M:%S"), " "))
    cat(paste0("  ", at, rows$line), sep = "\n")
  }
  if (nrow(x) == 0L) {
    cat("nothing was printed\n")
  }
  invisible(x)
}
