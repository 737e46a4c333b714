#' Map a function over elements on workers
#'
#' Makes workers, gives each element of `.x` to `.f` on one of them, returns the
#' values in the order of `.x` and stops the workers. The function and the
#' extra arguments travel once, not once an element. Your `plan()` is not used
#' and not changed. For several maps in a row, [starburst_cluster()] keeps the
#' workers.
#'
#' What elements print, say and warn is shown here, in the order of `.x`.
#' `Ctrl-C` stops the workers and returns the prompt.
#'
#' @inheritParams starburst
#' @param .x (vector or list) The elements.
#' @param .f (function, name of one, or formula such as `~ .x + 1`) What is done
#'   with each.
#' @param ... More arguments for `.f`. Arguments of `starburst_map()` itself
#'   cannot be among them.
#' @param .progress (logical) Whether to show a progress bar once it takes over
#'   two seconds.
#' @param .seed (logical, whole number or `NULL`) `TRUE` gives each element a
#'   random number stream of its own that depends on `set.seed()` and not on the
#'   workers; a number fixes the streams; `FALSE` or `NULL` gives none.
#' @param .on_error (string) `"stop"` raises the first error once all elements
#'   have ended; `"collect"` returns errors in place of values.
#' @param .packages (character or `NULL`) Packages to attach on the workers
#'   besides those that are found.
#' @param .globals (logical, character or list) `TRUE` finds the variables `.f`
#'   needs; names or a named list say them.
#'
#' @returns (list) One value an element, in the order and with the names of
#'   `.x`; `NULL` values are kept. With `.on_error = "collect"` a failed element
#'   is a condition with `$error` `TRUE`, `$message` and `$task_id`.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument out of range, before any
#' worker starts. An error of `.f` is raised as `starburst_error_task_failed`
#' with the class of your own error, which is its `$parent`; the values of the
#' other elements are returned by `$last_results()` of the condition.
#'
#' @examples
#' starburst_map(1:4, function(x, y) x + y, y = 10, workers = 2, launch_type = "LOCAL")
#' @export
starburst_map <- function(
  .x,
  .f,
  ...,
  workers = 10,
  cpu = 4,
  memory = "8GB",
  region = NULL,
  timeout = 3600,
  launch_type = "FARGATE",
  instance_type = NULL,
  use_spot = FALSE,
  image = NULL,
  environment = "auto",
  max_hourly_cost = NULL,
  max_total_cost = NULL,
  auto_quota_request = FALSE,
  .progress = interactive(),
  .seed = TRUE,
  .on_error = c("stop", "collect"),
  .packages = NULL,
  .globals = TRUE
) {
  call <- rlang::current_env()
  settings <- check_settings(with_config(mget(launch_arguments), names(match.call())[-1L]))
  check_map(.x, .f, .progress, .seed, .on_error, call)
  if (length(.x) == 0L) {
    return(rlang::set_names(list(), names(.x)))
  }
  fleet <- new_fleet(settings)
  on.exit(fleet_stop(fleet))
  envir <- parent.frame()
  code <- function() gather_function(as_function(.f, call), list(...), envir, .globals, .packages, call)
  run_map(
    fleet_handle(fleet, .packages, code()),
    .x,
    .f,
    list(...),
    .progress,
    .seed,
    .on_error,
    .packages,
    .globals,
    envir,
    call
  )
}

check_map <- function(.x, .f, .progress, .seed, .on_error, call) {
  check_flag(.progress, ".progress", call)
  check_seed(.seed, ".seed", call)
  as_function(.f, call)
  if (!identical(.on_error, c("stop", "collect"))) {
    check_choice(.on_error, ".on_error", c("STOP", "COLLECT"), call)
  }
}

run_map <- function(handle, .x, .f, args, progress, seed, on_error, packages, globals, envir, call) {
  check_map(.x, .f, progress, seed, on_error, call)
  tasks <- submit_map(handle, .x, .f, args, packages, globals, seed, envir, call)
  finished <- FALSE
  # Left early, by Ctrl-C or by an error: what has not ended is not wanted any more.
  on.exit(if (!finished && rs_session_is_live(handle)) rs_cancel(handle, task_ids(tasks)))
  wait_for_tasks(handle, tasks, Inf, progress, call)
  finished <- TRUE
  fetched <- fetch_elements(handle, tasks, call)
  results <- fetched$results
  names(results) <- names(.x)
  if (!is.na(fetched$failed) && tolower(on_error[[1]]) == "stop") {
    raise_element(results, fetched$failed, call)
  }
  results
}

# The values of ended elements, with conditions in place of what failed, and the number of the first that did. Shows
# what they printed, said and warned.
fetch_elements <- function(handle, tasks, call) {
  count <- rs_task_count(tasks)
  results <- vector("list", count)
  failed <- NA_integer_
  for (from in seq(1, count, by = group_size)) {
    to <- min(count, from + group_size - 1)
    ids <- task_ids(tasks, from, to)
    columns <- unwrap_native(rs_fetch(handle, ids), call)
    results[from:to] <- lapply(columns$value, `[[`, "value")
    # Most have left nothing but a value.
    for (k in which(columns$ending != "value" | lengths(columns$value) > 1L)) {
      left <- fetch_row(columns, k)
      relay_output(left)
      results[from + k - 1] <- list(task_value(left, ids[[k]]))
      if (is.na(failed) && is_failed(left)) {
        failed <- as.integer(from + k - 1)
      }
    }
  }
  list(results = results, failed = failed)
}

raise_element <- function(results, i, call) {
  cnd <- results[[i]]
  failed <- sum(vapply(results, function(x) inherits(x, "condition") && isTRUE(x$error), NA))
  message <- c(
    sprintf("element %d failed: %s", i, message_of(cnd)),
    if (failed > 1L) c(x = sprintf("%s elements failed in all", fmt(failed))),
    i = "the other values are not lost: `rlang::last_error()$last_results()`, or `.on_error = \"collect\"`"
  )
  # The user's classes with the fields their methods expect; the rest is abort()'s own.
  own <- c(
    "message",
    "call",
    "parent",
    "trace",
    "rlang",
    "use_cli_format",
    "task_id",
    "last_results",
    "index"
  )
  fields <- unclass(cnd)[setdiff(names(cnd), own)]
  rlang::abort(
    message,
    class = setdiff(class(cnd), c("rlang_error", "error", "condition")),
    !!!fields,
    parent = cnd,
    index = i,
    task_id = cnd$task_id,
    last_results = function() results,
    call = call
  )
}
