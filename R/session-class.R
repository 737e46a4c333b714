#' The methods of a session
#'
#' Made by [starburst_session()] and [starburst_session_attach()].
#'
#' A handle may be saved and loaded, but it is connected only in the R process
#' that made it: elsewhere its methods raise `starburst_error_stale_handle`,
#' which names the id to attach to.
#'
#' @examples
#' old <- options(starburst.directory = tempfile("store"))
#' session <- starburst_session(workers = 1, launch_type = "LOCAL")
#' id <- session$submit({
#'   message("working")
#'   6 * 7
#' })
#' session$result(id)
#' cat(session$logs(id))
#' session$cleanup(force = TRUE)
#' options(old)
#' @export
StarburstSession <- R6::R6Class(
  "StarburstSession",
  cloneable = FALSE,
  public = list(
    #' @field id (string) The session's id, for [starburst_session_attach()].
    id = NULL,

    #' @description For internal use.
    #' @param handle What the native side made.
    initialize = function(handle) {
      private$handle_ <- handle
      private$values <- new.env(parent = emptyenv())
      self$id <- unwrap_native(rs_session_id(handle))
      reg.finalizer(private$values, function(values) leave_quietly(handle), onexit = TRUE)
    },

    #' @description Submits one task and returns at once.
    #' @param expr A call or `{}` written in place, or a language object: `quote(...)`, or a variable
    #'   that holds one.
    #' @param globals (logical, character or list) `TRUE` finds the variables the expression needs,
    #'   names or a named list say them.
    #' @param packages (character) Packages to attach besides those that are found.
    #' @param envir (environment) Where variables are looked up.
    #' @param label (string or `NULL`) A name of your own.
    #' @param seed (`NULL`, logical or whole number) `TRUE` or a number gives the task a random number
    #'   stream of its own.
    #' @returns (string) The task's id.
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
      unwrap_native(rs_submit(handle, task, FALSE, label), call)
    },

    #' @description Submits one task for each element. The function and `...` travel once.
    #' @param .x (vector or list) The elements.
    #' @param .f (function, name or formula) What is done with each.
    #' @param ... More arguments for `.f`.
    #' @param .packages,.globals,.seed As `packages`, `globals` and `seed` of `submit()`; `.seed = TRUE`
    #'   gives each element a stream.
    #' @returns (character) The ids, in the order of `.x`.
    map = function(.x, .f, ..., .packages = NULL, .globals = TRUE, .seed = TRUE) {
      call <- rlang::current_env()
      submit_map(private$handle(call), .x, .f, list(...), .packages, .globals, .seed, parent.frame(), call)
    },

    #' @description Waits until everything submitted is in the store.
    flush = function() {
      unwrap_native(rs_flush(private$handle(rlang::current_env())))
      invisible(self)
    },

    #' @description Counts tasks by state.
    #' @returns A `StarburstSessionStatus`: a list with `total`, `pending`, `running`, `completed`,
    #'   `failed`, `cancelled` (which add up to `total`), `state`, `workers` (a data frame), `created_at`,
    #'   `deadline` and `cost` (USD).
    status = function() {
      session_status(private$handle(rlang::current_env()), self$id)
    },

    #' @description Returns what has ended, in the order of submission.
    #' @param ids (character or `NULL`) Tasks to return; all of them when `NULL`. Results asked for by id
    #'   are not kept in memory.
    #' @param wait (logical) Whether to wait until all have ended.
    #' @param timeout (number) Seconds to wait at most; then a `starburst_error_timeout` is raised. The
    #'   work goes on.
    #' @param progress (logical) Whether to show a progress bar once it takes over two seconds.
    #' @returns (list) Named by task id. A task that failed is a condition with `$error` `TRUE`,
    #'   `$message`, `$task_id`, and the class of your own error.
    collect = function(ids = NULL, wait = FALSE, timeout = 3600, progress = interactive()) {
      # collect(TRUE) reads naturally, and means to wait.
      if (is.logical(ids) && length(ids) == 1L) {
        wait <- ids
        ids <- NULL
      }
      call <- rlang::current_env()
      collect_tasks(private$handle(call), private$values, ids, wait, timeout, progress, call)
    },

    #' @description Waits for one task and returns its value; raises its error.
    #' @param id (string) The task.
    result = function(id, timeout = 3600) {
      call <- rlang::current_env()
      check_string(id, "id", call)
      value <- collect_tasks(private$handle(call), NULL, id, TRUE, timeout, FALSE, call)[[1L]]
      if (inherits(value, "condition") && isTRUE(value$error) && identical(value$task_id, id)) {
        stop(value)
      }
      value
    },

    #' @description Lets the session live for at least this long from now; never shortens.
    #' @param seconds (number) Default 3600.
    #' @returns (date-time) When its workers stop.
    extend = function(seconds = 3600) {
      call <- rlang::current_env()
      check_number(seconds, "seconds", 0, Inf, call)
      deadline <- unwrap_native(rs_extend(private$handle(call), as.numeric(seconds)), call)
      invisible(as.POSIXct(deadline, origin = "1970-01-01"))
    },

    #' @description Ends the session: no more tasks; its workers, and no others, stop.
    #' @param stop_workers (logical) Whether to stop them now; otherwise they leave by themselves within
    #'   seconds.
    #' @param force (logical) Whether to delete the session with all its results.
    cleanup = function(stop_workers = TRUE, force = FALSE) {
      call <- rlang::current_env()
      check_flag(stop_workers, "stop_workers", call)
      check_flag(force, "force", call)
      handle <- private$handle(call)
      if (force) {
        unwrap_native(rs_delete(handle), call)
      } else {
        unwrap_native(rs_close(handle, stop_workers), call)
      }
      invisible(self)
    },

    #' @description Withdraws tasks that have not ended, and stops those that run.
    #' @param ids (character) Tasks; for `retry()` all that failed when `NULL`.
    #' @returns (number) How many there were.
    cancel = function(ids) {
      call <- rlang::current_env()
      check_ids(ids, "ids", call)
      invisible(unwrap_native(rs_cancel(private$handle(call), ids), call))
    },

    #' @description Lets failed or cancelled tasks run again.
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
      rm(list = intersect(ids, ls(private$values, all.names = TRUE)), envir = private$values)
      invisible(count)
    },

    #' @description Changes the number of workers that this R process starts.
    #' @param workers (number) Workers at most.
    scale = function(workers) {
      call <- rlang::current_env()
      workers <- check_workers(workers, call)
      unwrap_native(rs_scale(private$handle(call), workers), call)
      invisible(self)
    },

    #' @description Shows the tasks that failed.
    #' @returns A data frame: `task_id`, `label`, `class`, `message`, `attempts`, `worker`.
    errors = function() {
      session_errors(private$handle(rlang::current_env()))
    },

    #' @description What a task printed, its messages and warnings included, from its worker's log; for
    #'   a task whose R died, what the R printed last.
    #' @returns (string) Empty when there is nothing.
    logs = function(id) {
      call <- rlang::current_env()
      check_string(id, "id", call)
      task_log(private$handle(call), id, call)
    },

    #' @description Shows the session.
    #' @param ... Not used.
    print = function(...) {
      if (!rs_session_is_live(private$handle_)) {
        cat("<StarburstSession> ", self$id, " (not connected)\n", sep = "")
        cat("  attach again: starburst_session_attach(\"", self$id, "\")\n", sep = "")
        return(invisible(self))
      }
      counts <- unwrap_native(rs_counts(private$handle_))
      cat("<StarburstSession> ", self$id, "\n", sep = "")
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
      cat("  return to it later: starburst_session_attach(\"", self$id, "\")\n", sep = "")
      invisible(self)
    }
  ),
  private = list(
    handle_ = NULL,
    # Values already fetched, by task id.
    values = NULL,
    handle = function(call) {
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

# At R's end, and when a handle is collected: what was submitted gets into the store, and workers to it.
leave_quietly <- function(handle) {
  if (rs_session_is_live(handle)) {
    rs_session_leave(handle)
  }
}
