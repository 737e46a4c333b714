# What a task left, as values and conditions.

task_classes <- function(kind) c(paste0("starburst_error_", kind), "starburst_error")

# A failed task as a condition: the user's own, with its class, or one that says what broke.
task_condition <- function(left, id) {
  cnd <- switch(
    left$ending,
    error = left$value[["condition"]],
    cancelled = rlang::error_cnd(task_classes("cancelled"), message = "the task was cancelled"),
    worker_lost = rlang::error_cnd(task_classes("worker_lost"), message = left$message),
    timeout = rlang::error_cnd(task_classes("timeout"), message = left$message),
    unreadable = rlang::error_cnd(task_classes("data"), message = left$message)
  )
  if (left$ending == "error") {
    own <- class(cnd)
    at <- match("error", own, nomatch = length(own) + 1L)
    class(cnd) <- append(own, task_classes("task_failed"), after = at - 1L)
    cnd$task_calls <- left$value$trace
  }
  cnd[["message"]] <- message_of(cnd)
  cnd$error <- TRUE
  cnd$task_id <- id
  cnd
}

# The message of any condition as one string, whatever it is made of.
message_of <- function(cnd) {
  text <- tryCatch(paste(as.character(conditionMessage(cnd)), collapse = "\n"), error = function(e) "")
  if (nzchar(text)) text else class(cnd)[[1L]]
}

# One task of what rs_fetch() returned.
fetch_row <- function(columns, i) {
  list(
    ending = columns$ending[[i]],
    value = columns$value[[i]],
    message = columns$message[[i]],
    worker = columns$worker[[i]],
    attempt = columns$attempt[[i]]
  )
}

task_value <- function(left, id) {
  if (left$ending == "value") left$value$value else task_condition(left, id)
}

is_failed <- function(left) left$ending != "value"

# What a map's element printed, said and warned, in the order in which elements were given.
relay_output <- function(left) {
  if (!is.null(left$value$stdout)) {
    cat(left$value$stdout)
  }
  for (cnd in left$value$said) {
    signal_again(cnd)
  }
}

# The warnings of a session's task. Its output and messages are in its log.
relay_warnings <- function(left) {
  for (cnd in left$value$said) {
    if (inherits(cnd, "warning")) {
      signal_again(cnd)
    }
  }
}

# The same as text, for a log: what was printed, then what was said.
kept_output <- function(left) {
  said <- vapply(
    left$value$said,
    function(cnd) {
      text <- message_of(cnd)
      if (inherits(cnd, "warning")) paste0("Warning: ", text, "\n") else text
    },
    ""
  )
  paste(c(left$value$stdout, said), collapse = "")
}

ended_words <- c("completed", "failed", "cancelled")
