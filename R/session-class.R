# The class behind a session. Its methods check and then call R/collect.R, R/status.R or the native side.

#' The methods of a session
#'
#' What [starburst_session()] and [starburst_session_attach()] return: an R6
#' object with the fields `id` and `session_id` (string), both the id to attach to, and the methods
#' below.
#'
#' A handle may be saved and loaded, but it is connected only in the R process
#' that made it: elsewhere its methods raise `starburst_error_stale_handle`,
#' which names the id to attach to.
#'
#' @section Submitting:
#' - `$submit(expr, globals = TRUE, packages = NULL, envir = parent.frame(), label = NULL, seed = NULL)`
#'   submits one task and returns its id (string) at once. `expr` is a call or
#'   `{}` written in place, or a language object: `quote(...)`, or a variable
#'   that holds one. `globals = TRUE` finds the variables it needs in `envir`;
#'   names or a named list say them. `packages` (character) are attached besides
#'   those that are found. `label` (string) is a name of your own. `seed`: `TRUE`
#'   or a whole number gives the task a random number stream of its own. For
#'   `TRUE` one number is drawn from your own stream, as [starburst_map()] does.
#' - `$map(.x, .f, ..., .packages = NULL, .globals = TRUE, .seed = TRUE)` submits
#'   one task for each element of `.x` and returns their ids (character). The
#'   function and `...` travel once.
#' - `$flush()` waits until everything submitted is in the store.
#'
#' @section Watching and collecting:
#' - `$tasks()` returns a data frame of all tasks in the order of submission:
#'   `task_id`, `label` (yours, or the name of the element of `.x`; `NA` without
#'   one), `state` (`"pending"`, `"running"`, `"completed"`, `"failed"`,
#'   `"cancelled"`).
#' - `$status()` returns a `StarburstSessionStatus`: a list with `total`,
#'   `pending`, `running`, `completed`, `failed`, `cancelled` (numbers; the last
#'   five add up to the first), `state` (`"open"`, `"expired"` or `"closed"`),
#'   `workers` (a data frame: `worker`, `state`, `finished`, `busy_seconds`),
#'   `created_at`, `deadline` (date-times), `cost` (USD so far for workers and requests to S3, or `NA` where the price of a
#'   worker is not known), `cost_of_requests` (USD, the part of it that is for requests), `cost_per_hour` (USD), `throughput` (tasks per
#'   second since the session was made), `eta` (seconds until the rest has ended at
#'   that rate, or `NA`), `recent_errors` (messages of the last three tasks that
#'   failed, named by task id), `session_id`.
#' - `$collect(ids = NULL, wait = FALSE, timeout = Inf, progress = interactive())`
#'   returns what has ended, a list in the order of submission named by task id.
#'   A task that failed is a condition with `$error` `TRUE`, `$message`,
#'   `$task_id` and the class of your own error, and a warning of class
#'   `starburst_warning_failed_tasks` says once how many failed and which. Warnings
#'   of tasks are raised here again, when their value is first fetched. The attribute
#'   `labels` has labels and the names of elements, where there are any. With `wait = TRUE` it waits for
#'   all, at most `timeout` seconds; then it raises `starburst_error_timeout`, and
#'   the work goes on. Results asked for by `ids` are not kept in memory.
#' - `$result(id, timeout = Inf)` waits for one task and returns its value, or
#'   raises its error.
#' - `$errors()` returns a data frame of the tasks that failed: `task_id`,
#'   `label`, `class`, `message` (the first 500 characters), `attempts`, `worker`.
#'   It shows what workers wrote down as text, and reads no value.
#' - `$logs(id)` returns what a task printed (string), its messages and warnings
#'   included; for a task whose R died, also how, and what it printed last. An
#'   element of a map keeps its output with its value: it is there once the element
#'   has ended, first what was printed, then messages and warnings, and neither in the
#'   logs of workers nor in CloudWatch.
#' - `$print()` shows the id and the counts known now.
#'
#' @section Changing:
#' - `$cancel(ids)` withdraws tasks that have not ended, and stops those that run.
#'   Returns how many there were, invisibly.
#' - `$retry(ids = NULL)` lets failed or cancelled tasks run again; all failed ones
#'   when `NULL`. Returns how many there were, invisibly.
#' - `$scale(workers)` changes how many workers this R process starts.
#' - `$extend(seconds = 3600)` lets the session live for at least this long from
#'   now; never shortens, and no longer than the bucket of a stack keeps objects
#'   (`object_expiry_days` of [starburst_setup()], counted from when the session was
#'   made). Returns when its workers stop (date-time), invisibly.
#' - `$cleanup(stop_workers = TRUE, force = FALSE)` ends the session: no more
#'   tasks; its workers, and no others, stop, at once or by themselves within
#'   seconds. `force = TRUE` deletes the session with all its results, and
#'   nothing else.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that cannot be used,
#' `starburst_error_not_found` for a task that is not of this session,
#' `starburst_error_closed` for a task submitted to a session that is closed or
#' out of time, `starburst_error_unavailable` and `starburst_error_permission`
#' for a store that cannot be used, `starburst_error_unauthenticated` without
#' valid AWS credentials, `starburst_error_data` for damaged objects,
#' `starburst_error_worker_lost` when no worker stays alive,
#' `starburst_error_version` when workers cannot read what this R writes.
#'
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' session <- starburst_session(workers = 1, launch_type = "LOCAL")
#' id <- session$submit({
#'   message("working")
#'   6 * 7
#' })
#' session$result(id)
#' cat(session$logs(id))
#' session$cleanup(force = TRUE)
#' options(old)
#' @name StarburstSession
NULL

StarburstSession <- R6::R6Class(
  "StarburstSession",
  cloneable = FALSE,
  public = list(
    id = NULL,
    session_id = NULL,

    initialize = function(handle, life = NULL) {
      private$handle_ <- handle
      private$life <- life
      private$values <- new.env(parent = emptyenv())
      private$told <- list(failures = new.env(parent = emptyenv()), warnings = new.env(parent = emptyenv()))
      self$id <- unwrap_native(rs_session_id(handle))
      self$session_id <- self$id
      reg.finalizer(private$values, function(values) leave_quietly(handle), onexit = TRUE)
    },

    submit = function(
      expr,
      globals = TRUE,
      packages = NULL,
      envir = parent.frame(),
      label = NULL,
      seed = NULL
    ) {
      call <- rlang::current_env()
      handle <- private$handle(call)
      expr <- capture_expression(substitute(expr), envir, call)
      check_string(label, "label", call, null = TRUE)
      seed <- check_seed(seed, "seed", call)
      task <- gather(expr, envir, globals, packages, call)
      task$seed <- make_streams(seed, 1L)[[1L]]
      unwrap_native(rs_submit(handle, task, FALSE, label, NULL), call)
    },

    map = function(.x, .f, ..., .packages = NULL, .globals = TRUE, .seed = TRUE) {
      call <- rlang::current_env()
      elements <- elements_of(.x, call)
      fun <- as_function(.f, call)
      refuse_near_misses(...names(), setdiff(map_arguments, c(".progress", ".on_error")), fun, call)
      envir <- parent.frame()
      tasks <- submit_map(
        private$handle(call),
        elements,
        fun,
        list(...),
        .packages,
        .globals,
        .seed,
        envir,
        call
      )
      invisible(task_ids(tasks))
    },

    flush = function() {
      call <- rlang::current_env()
      unwrap_native(rs_flush(private$handle(call)), call)
      invisible(self)
    },

    tasks = function() {
      call <- rlang::current_env()
      handle <- private$handle(call)
      unwrap_native(rs_flush(handle), call)
      unwrap_native(rs_refresh(handle), call)
      found <- unwrap_native(rs_tasks(handle), call)
      # With a worker, be it begun or next in line.
      state <- ifelse(found$state == "claimed", "running", found$state)
      data.frame(task_id = found$id, label = found$label, state = state)
    },

    status = function() {
      call <- rlang::current_env()
      session_status(private$handle(call), self$id, call)
    },

    collect = function(ids = NULL, wait = FALSE, timeout = Inf, progress = interactive()) {
      # collect(TRUE) reads naturally, and means to wait.
      if (is.logical(ids) && length(ids) == 1L) {
        if (!missing(wait)) {
          timeout <- wait
        }
        wait <- ids
        ids <- NULL
      }
      call <- rlang::current_env()
      values <- collect_tasks(
        private$handle(call),
        private$values,
        private$told,
        ids,
        wait,
        timeout,
        progress,
        call
      )
      tell_failures(values, private$told, call)
      values
    },

    result = function(id, timeout = Inf) {
      call <- rlang::current_env()
      check_string(id, "id", call)
      value <- collect_tasks(private$handle(call), NULL, private$told, id, TRUE, timeout, FALSE, call)[[1L]]
      if (inherits(value, "condition") && isTRUE(value$error) && identical(value$task_id, id)) {
        stop(value)
      }
      value
    },

    extend = function(seconds = 3600) {
      call <- rlang::current_env()
      check_number(seconds, "seconds", 0, Inf, call)
      handle <- private$handle(call)
      check_extension(handle, seconds, private$life, call)
      deadline <- unwrap_native(rs_extend(handle, as.numeric(seconds)), call)
      invisible(as.POSIXct(deadline, origin = "1970-01-01"))
    },

    cleanup = function(stop_workers = TRUE, force = FALSE) {
      call <- rlang::current_env()
      check_flag(stop_workers, "stop_workers", call)
      check_flag(force, "force", call)
      handle <- private$handle(call)
      if (force) {
        unwrap_native(rs_delete(handle), call)
        private$deleted <- TRUE
      } else {
        unwrap_native(rs_close(handle, stop_workers), call)
      }
      invisible(self)
    },

    cancel = function(ids) {
      call <- rlang::current_env()
      check_ids(ids, "ids", call)
      invisible(unwrap_native(rs_cancel(private$handle(call), ids), call))
    },

    retry = function(ids = NULL) {
      call <- rlang::current_env()
      handle <- private$handle(call)
      if (is.null(ids)) {
        unwrap_native(rs_refresh(handle), call)
        tasks <- unwrap_native(rs_tasks(handle), call)
        ids <- tasks$id[tasks$state == "failed"]
      }
      check_ids(ids, "ids", call)
      count <- unwrap_native(rs_retry(handle, ids), call)
      for (known in c(list(private$values), private$told)) {
        rm(list = intersect(ids, ls(known, all.names = TRUE)), envir = known)
      }
      invisible(count)
    },

    scale = function(workers) {
      call <- rlang::current_env()
      workers <- check_workers(workers, call)
      unwrap_native(rs_scale(private$handle(call), workers), call)
      invisible(self)
    },

    errors = function() {
      call <- rlang::current_env()
      session_errors(private$handle(call), call)
    },

    logs = function(id) {
      call <- rlang::current_env()
      check_string(id, "id", call)
      task_log(private$handle(call), id, call)
    },

    print = function(...) {
      if (private$deleted) {
        cat("<StarburstSession> ", self$id, " (deleted)\n", sep = "")
        return(invisible(self))
      }
      if (!rs_session_is_live(private$handle_)) {
        cat("<StarburstSession> ", self$id, " (not connected)\n", sep = "")
        cat("  attach again: starburst_session_attach(\"", self$id, "\")\n", sep = "")
        return(invisible(self))
      }
      counts <- unwrap_native(rs_counts(private$handle_))
      state <- unwrap_native(rs_state(private$handle_))
      cat("<StarburstSession> ", self$id, if (state != "open") sprintf(" (%s)", state), "\n", sep = "")
      cat(
        "  tasks: ",
        fmt(counts$total),
        " (",
        fmt(counts$completed),
        " completed, ",
        fmt(counts$failed),
        " failed)\n",
        sep = ""
      )
      later <- switch(
        state,
        open = sprintf("return to it later: starburst_session_attach(\"%s\")", self$id),
        expired = "its time is over: `$extend()` lets it go on",
        "no new tasks; `$collect()` returns what there is"
      )
      cat("  ", later, "\n", sep = "")
      invisible(self)
    }
  ),
  private = list(
    handle_ = NULL,
    # Seconds that an object of the session lives in its bucket; NULL for ever.
    life = NULL,
    deleted = FALSE,
    # Failures that collect() has warned of, and tasks whose warnings it has raised, by task id.
    told = NULL,
    # Values already fetched, by task id.
    values = NULL,
    handle = function(call) {
      if (private$deleted) {
        starburst_abort(
          c(
            sprintf("the session `%s` was deleted, with its results", self$id),
            i = "`starburst_session()` makes another"
          ),
          kind = "closed",
          session_id = self$id,
          call = call
        )
      }
      if (!rs_session_is_live(private$handle_)) {
        starburst_abort(
          c(
            sprintf("the session `%s` is not connected in this R process", self$id),
            i = sprintf("attach again: starburst_session_attach(\"%s\")", self$id)
          ),
          kind = "stale_handle",
          session_id = self$id,
          call = call
        )
      }
      private$handle_
    }
  )
)

# A session's first objects are as old as it is, and go first.
check_extension <- function(handle, seconds, life, call) {
  if (is.null(life)) {
    return(invisible())
  }
  left <- unwrap_native(rs_created_at(handle), call) + life - as.numeric(Sys.time())
  if (seconds > left) {
    allowed <- sprintf(
      "at most %s: the bucket deletes the objects of this session %s after they were written",
      fmt(max(0, floor(left))),
      count_of(life / 86400, "day")
    )
    abort_input("seconds", describe(seconds), allowed, call)
  }
}

# At R's end, and when a handle is collected: what was submitted gets into the store, and workers to it.
leave_quietly <- function(handle) {
  if (rs_session_is_live(handle)) {
    left <- rs_session_leave(handle)
    if (inherits(left, "extendr_error")) {
      warning("starburst: ", left$value$message, "; the tasks submitted last may be lost", call. = FALSE)
    }
  }
}
