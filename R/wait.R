# Waiting: in short steps, so that Ctrl-C works, with a progress bar once it takes over two seconds.

step_ms <- 100

# Waits until done() is true, or for `timeout` seconds. Returns whether it is.
wait_until <- function(handle, done, timeout = Inf, call = rlang::caller_env()) {
  start <- proc.time()[["elapsed"]]
  unwrap_native(rs_engage(handle), call)
  packages <- follow_environment(handle)
  on.exit(packages$close())
  seen <- -1
  repeat {
    relay_signals(handle, call)
    if (done()) {
      relay_signals(handle, call)
      # Workers may have been quick: what is to be said of their packages is said before this is over.
      packages$update(look = TRUE)
      return(TRUE)
    }
    unwrap_native(rs_check(handle), call)
    relay_cost(handle, call)
    packages$update()
    left <- timeout - (proc.time()[["elapsed"]] - start)
    if (left <= 0) {
      return(FALSE)
    }
    seen <- unwrap_native(rs_wait(handle, seen, min(step_ms, left * 1000)), call)
  }
}

# Signals conditions that running tasks sent ahead of their results.
relay_signals <- function(handle, call) {
  signals <- unwrap_native(rs_signals(handle), call)
  for (cnd in signals$conditions) {
    signal_again(cnd)
  }
}

# Warns once when a session has cost what `cost_alert_threshold` says.
relay_cost <- function(handle, call = rlang::caller_env()) {
  words <- unwrap_native(rs_cost_alert(handle), call)
  if (!is.na(words)) {
    rlang::warn(words, class = "starburst_warning_cost")
  }
}

signal_again <- function(cnd) {
  # What a worker lacks, all others lack too.
  if (inherits(cnd, "starburst_warning_worker")) {
    words <- conditionMessage(cnd)
    if (words %in% the$worker_warnings) {
      return(invisible())
    }
    the$worker_warnings <- c(the$worker_warnings, words)
  }
  if (inherits(cnd, "warning")) {
    warning(cnd)
  } else if (inherits(cnd, "message")) {
    message(cnd)
  } else {
    signalCondition(cnd)
  }
}

# A progress bar; cli shows it once the wait takes over two seconds. pause() takes it away until the next update().
progress_for <- function(show, total, label) {
  if (!show || is_quiet() || total == 0) {
    nothing <- function(...) NULL
    return(list(update = nothing, pause = nothing, close = nothing))
  }
  env <- environment()
  bar <- NULL
  close <- function() {
    if (!is.null(bar)) {
      cli::cli_progress_done(id = bar, .envir = env)
    }
    bar <<- NULL
  }
  list(
    update = function(done) {
      if (is.null(bar)) {
        bar <<- cli::cli_progress_bar(label, total = total, .envir = env, .auto_close = FALSE)
      }
      cli::cli_progress_update(set = done, id = bar, .envir = env)
    },
    pause = close,
    close = close
  )
}
