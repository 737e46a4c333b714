# StarburstFuture: what a future does, the same on both APIs of the future package.

task_of <- function(f) f[["starburst_task"]]
fleet_of <- function(f) f[["starburst_fleet"]]
label_of <- function(f) if (is.null(f[["label"]])) "<unnamed>" else f[["label"]]

# Since future 1.40 expressions carry their globals and evaluator with them.
has_backend_api <- function() {
  exists("launchFuture", envir = asNamespace("future"), inherits = FALSE)
}

interrupt_error <- function(f, why) {
  message <- sprintf("Future (%s) was interrupted: %s", label_of(f), why)
  cnd <- future::FutureError(message, future = f)
  class(cnd) <- unique(c("FutureInterruptError", class(cnd)))
  cnd
}

# An error of ours as the framework expects it, ours kept as parent and by its classes.
future_error <- function(f, cnd) {
  message <- sprintf("Future (%s): %s", label_of(f), conditionMessage(cnd))
  wrapped <- future::FutureError(message, future = f)
  wrapped$parent <- cnd
  class(wrapped) <- unique(c(grep("^starburst_", class(cnd), value = TRUE), class(wrapped)))
  wrapped
}

# Puts the future into the queue. Never waits for a worker.
launch <- function(fleet, f) {
  if (f[["state"]] != "created") {
    message <- sprintf("A future (%s) can only be launched once", label_of(f))
    stop(future::FutureError(message, future = f))
  }
  strip_where(f)
  payload <- future_payload(f, fleet$settings$cpu)
  label <- if (!is.null(f[["label"]])) enc2utf8(f[["label"]])
  task <- tryCatch(
    {
      handle <- fleet_handle(fleet, f[["packages"]], list(f[["expr"]], f[["globals"]]))
      shared <- if (!has_backend_api()) shared_expression(fleet, handle, payload$expr, f[["expr"]])
      if (!is.null(shared)) {
        payload$expr <- NULL
      }
      unwrap_native(rs_submit(handle, payload, TRUE, label, shared), quote(future()))
    },
    starburst_error = function(cnd) {
      error <- future_error(f, cnd)
      class(error) <- unique(c("FutureLaunchError", class(error)))
      stop(error)
    }
  )
  f[["starburst_task"]] <- task
  f[["starburst_fleet"]] <- fleet
  f[["state"]] <- "running"
  fleet$futures[[task]] <- f
  f
}

# future keeps the frames in which globals were found and would ship them; which one it was matters
# to the worker only for the global and the empty environment.
strip_where <- function(f) {
  where <- attr(f[["globals"]], "where")
  if (is.null(where)) {
    return()
  }
  known <- function(env) identical(env, globalenv()) || identical(env, emptyenv())
  where[] <- lapply(where, function(env) if (known(env)) env else baseenv())
  globals <- f[["globals"]]
  attr(globals, "where") <- where
  f[["globals"]] <- globals
}

future_payload <- function(f, cpu) {
  carries_globals <- has_backend_api()
  expression_of <- function(f, ...) {
    future::getExpression(f, immediateConditions = TRUE, mc.cores = as.integer(max(1, cpu)), ...)
  }
  expr <- if (carries_globals) current_expression(f, expression_of) else legacy_expression(f, expression_of)
  immediate <- attr(f[["conditions"]], "immediateConditionClasses", exact = TRUE)
  if (is.null(immediate) || !carries_globals) {
    immediate <- getOption("future.relay.immediate", "immediateCondition")
  }
  globals <- if (!carries_globals) unclass(f[["globals"]])
  list(expr = expr, globals = globals, immediate = immediate)
}

# future from 1.40 on evaluates local(<the user's expression>) in the global environment, where globals of the user may
# have the names of what local() calls.
current_expression <- function(f, expression_of) {
  covered <- intersect(names(f[["globals"]]), c("local", "eval", "quote", "new.env"))
  if (length(covered) == 0L || isFALSE(f[["local"]])) {
    return(expression_of(f))
  }
  written <- f[["expr"]]
  f[["expr"]] <- local_below_base(bquote({
    .(written)
  }))
  on.exit(assign("expr", written, envir = f))
  expression_of(f, local = FALSE)
}

# So many futures in a row have the same expression before the next ones share it. What alternates is not shared: tasks
# that do not share the same are written apart.
alike_before_sharing <- 8L

# Before future 1.40 an expression is 35 kB of code around the user's, and futures of a loop differ in their globals
# only. It is sent once for all that are written together. NULL when this future has none to share.
#
# The user's own expression, `written`, is compared by the bytes that would be sent. An environment or a vector in it may
# have changed in place since the last future: to identical() it is the same object.
shared_expression <- function(fleet, handle, expr, written) {
  alike <- fleet$alike
  hash <- rlang::hash(written)
  # Exact: a 0 is no -0.
  if (
    !identical(alike$hash, hash) ||
      !identical(alike$expr, expr, num.eq = FALSE, single.NA = FALSE, ignore.srcref = FALSE)
  ) {
    fleet$alike <- as.environment(list(expr = expr, hash = hash, count = 1L))
    return(NULL)
  }
  alike$count <- alike$count + 1L
  if (alike$count > alike_before_sharing && is.null(alike$shared)) {
    alike$shared <- unwrap_native(rs_share(handle, list(expr = expr)))
  }
  alike$shared
}

# Whether the task has ended, and whether the session is in trouble: one look into memory, as the
# background watches the store. Signals what the task sent ahead of its result.
look_at <- function(f) {
  fleet <- fleet_of(f)
  task <- task_of(f)
  seen <- unwrap_native(rs_peek(fleet$handle, task))
  if (seen %% 4L >= 2L) {
    fleet_take_signals(fleet)
  }
  conditions <- fleet$signals[[task]]
  if (!is.null(conditions)) {
    rm(list = task, envir = fleet$signals)
    for (cnd in conditions) {
      signal_again(cnd)
    }
  }
  seen
}

ended <- function(seen) seen %% 2L == 1L
troubled <- function(seen) seen >= 4L

is_over <- function(f) {
  !is.null(f[["result"]]) ||
    isTRUE(f[["starburst_killed"]]) ||
    f[["state"]] %in% c("finished", "failed", "interrupted")
}

#' @export
resolved.StarburstFuture <- function(x, ...) {
  if (x[["state"]] == "created") {
    if (!isFALSE(list(...)[["run"]])) {
      x <- run(x)
    }
    return(FALSE)
  }
  if (is_over(x)) {
    return(TRUE)
  }
  seen <- look_at(x)
  if (seen < 1L && pace_polls(fleet_of(x), x)) {
    seen <- look_at(x)
  }
  if (ended(seen) && x[["state"]] == "running") {
    x[["state"]] <- "finished"
  }
  # future signals what a future with `earlySignal = TRUE` has left.
  if (ended(seen) && isTRUE(x[["earlySignal"]])) {
    return(NextMethod())
  }
  # With a session that cannot get on, value() is to be called: it says why.
  ended(seen) || troubled(seen)
}

# The shortest round of questions after all futures of a plan.
poll_ms <- 10

# A look into memory costs nothing, so whoever asks until a future has ended, and does something with each answer, would
# do it thousands of times a second. A future that is asked again begins a new round; a round begins `poll_ms` after the
# one before it, or when something has changed. Whoever asks more slowly, or one future after the other, never waits.
# Returns whether it waited.
pace_polls <- function(fleet, f) {
  now <- function() proc.time()[["elapsed"]] * 1000
  if (!identical(f[["starburst_round"]], fleet$round)) {
    f[["starburst_round"]] <- fleet$round
    return(FALSE)
  }
  # A clock that was set back makes no long wait.
  left <- poll_ms - max(0, now() - fleet$round_began)
  if (left >= 1) {
    fleet$seen <- unwrap_native(rs_wait(fleet$handle, fleet$seen, left))
  }
  fleet$round <- fleet$round + 1
  fleet$round_began <- now()
  f[["starburst_round"]] <- fleet$round
  left >= 1
}

#' @export
result.StarburstFuture <- function(future, ...) {
  f <- future
  found <- f[["result"]]
  if (!is.null(found)) {
    if (inherits(found, "FutureError")) {
      stop(found)
    }
    return(found)
  }
  if (f[["state"]] == "created") {
    f <- run(f)
  }
  fleet <- fleet_of(f)
  task <- task_of(f)
  if (f[["state"]] == "interrupted" || isTRUE(f[["starburst_killed"]])) {
    fail(f, interrupt_error(f, "it was cancelled"), f[["state"]])
  }
  left <- tryCatch(
    {
      await_future(f)
      fetch_row(unwrap_native(rs_fetch(fleet$handle, task)), 1L)
    },
    starburst_error_not_found = function(cnd) {
      # The session is gone with its store. The next future of the plan makes another.
      fleet_lose(fleet, cnd)
      stop(future_error(f, cnd))
    },
    starburst_error = function(cnd) stop(future_error(f, cnd))
  )
  take_result(f, left)
}

await_future <- function(f) {
  handle <- fleet_of(f)$handle
  if (ended(look_at(f))) {
    return()
  }
  unwrap_native(rs_engage(handle))
  packages <- follow_environment(handle)
  on.exit(packages$close())
  seen <- -1
  while (!ended(look_at(f))) {
    unwrap_native(rs_check(handle))
    packages$update()
    seen <- unwrap_native(rs_wait(handle, seen, step_ms))
  }
  packages$update(look = TRUE)
}

# Files what the task left, or raises what went wrong.
take_result <- function(f, left) {
  r <- left$value
  switch(
    left$ending,
    cancelled = fail(f, interrupt_error(f, "it was cancelled"), "interrupted"),
    worker_lost = fail(f, interrupt_error(f, left$message), "interrupted"),
    timeout = ,
    unreadable = {
      cnd <- rlang::error_cnd(
        c(paste0("starburst_error_", if (left$ending == "timeout") "timeout" else "data"), "starburst_error"),
        message = left$message
      )
      fail(f, future_error(f, cnd), "failed")
    }
  )
  if (inherits(r, "FutureError")) {
    attr(r, "future") <- f
    fail(f, r, if (inherits(r, "FutureInterruptError")) "interrupted" else "failed")
  }
  # The evaluator itself failed on the worker: its error says more than that there is no result.
  if (inherits(r, "error")) {
    fail(f, future_error(f, r), "failed")
  }
  other_future <- !is.null(r[["uuid"]]) && !identical(r[["uuid"]], f[["uuid"]])
  if (!inherits(r, "FutureResult") || other_future) {
    fail(f, future::UnexpectedFutureResultError(f), "failed")
  }
  forget(f)
  f[["result"]] <- r
  f[["state"]] <- "finished"
  r
}

fail <- function(f, cnd, state) {
  forget(f)
  f[["result"]] <- cnd
  f[["state"]] <- state
  stop(cnd)
}

forget <- function(f) {
  futures <- fleet_of(f)$futures
  task <- task_of(f)
  if (exists(task, envir = futures, inherits = FALSE)) {
    rm(list = task, envir = futures)
  }
  # Its value is in the future now. A failure to delete what is stored of it is no failure of the future.
  fleet <- fleet_of(f)
  if (!is.null(fleet$handle) && !isFALSE(rs_forget(fleet$handle, task))) {
    # The expression that futures share was packed before unused chunks were deleted.
    fleet$alike <- NULL
  }
}
