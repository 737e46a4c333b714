#' Map a function over elements on workers
#'
#' Makes workers, gives each element of `.x` to `.f` on one of them, returns the
#' values in the order of `.x` and stops the workers. The function and the
#' extra arguments travel once, not once an element. Your `plan()` is not used
#' and not changed. For several maps in a row, [starburst_cluster()] keeps the
#' workers.
#'
#' What elements print, say and warn is shown here, in the order of `.x`: as
#' soon as an element and all before it have ended.
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
#'   random number stream of its own; see Random numbers. A number fixes the
#'   streams. `FALSE` or `NULL` gives none.
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
#' @section Random numbers:
#' With `.seed = TRUE` one number is drawn from your own random number stream,
#' with the generators that `RNGkind()` shows, and your stream goes on from
#' there, as with furrr and future.apply. All streams of the elements follow
#' from that number. So the same `set.seed()` before the same calls gives the
#' same values, with any number of workers, any launch type and any order of
#' work. The elements use the generator `"L'Ecuyer-CMRG"`, with R's default
#' kinds for normal numbers and for sampling. With a number, `FALSE` or `NULL`
#' your stream is not touched.
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
  timeout = NULL,
  idle_timeout = 300,
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
  elements <- elements_of(.x, call)
  check_map(.f, .progress, .seed, .on_error, call)
  refuse_near_misses(...names(), c(launch_arguments, map_arguments), .f, call)
  settings <- check_settings(with_config(mget(launch_arguments), names(match.call())[-1L]))
  if (length(elements) == 0L) {
    return(elements)
  }
  fleet <- new_fleet(settings)
  on.exit(fleet_stop(fleet))
  envir <- parent.frame()
  code <- function() gather_function(as_function(.f, call), list(...), envir, .globals, .packages, call)
  run_map(
    fleet_handle(fleet, .packages, code(), call),
    elements,
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

# The arguments of a map itself.
map_arguments <- c(".progress", ".seed", ".on_error", ".packages", ".globals")

# The elements of `.x`, as lapply() takes them: those of an object by its own as.list(), so that dates and factors keep their
# class and data frames give their columns.
elements_of <- function(.x, call) {
  .x <- given(.x, ".x", call)
  if (is.vector(.x) && !is.object(.x)) {
    return(as.list(.x))
  }
  made <- if (!is.function(.x) && !is.name(.x)) tryCatch(as.list(.x), error = function(cnd) NULL)
  if (is.null(made)) {
    abort_input(".x", describe(.x), "a vector, a list, or an object that as.list() makes a list of", call)
  }
  made
}

check_map <- function(.f, .progress, .seed, .on_error, call) {
  check_flag(.progress, ".progress", call)
  check_seed(.seed, ".seed", call)
  as_function(.f, call)
  if (!identical(.on_error, c("stop", "collect"))) {
    check_choice(.on_error, ".on_error", c("STOP", "COLLECT"), call)
  }
}

run_map <- function(handle, elements, .f, args, progress, seed, on_error, packages, globals, envir, call) {
  tasks <- submit_map(handle, elements, .f, args, packages, globals, seed, envir, call)
  finished <- FALSE
  # Left early, by Ctrl-C or by an error: what has not ended is not wanted any more.
  on.exit(if (!finished && rs_session_is_live(handle)) rs_cancel(handle, task_ids(tasks)))
  gathered <- gather_elements(handle, tasks, call)
  wait_for_tasks(handle, tasks, Inf, progress, call, gathered$take)
  finished <- TRUE
  gathered$take_rest()
  rs_forget(handle, task_ids(tasks))
  results <- gathered$results()
  names(results) <- names(elements)
  if (!is.na(gathered$failed()) && tolower(on_error[[1]]) == "stop") {
    raise_element(results, gathered$failed(), call)
  }
  results
}

# Takes what elements left, in their order and as soon as all before have ended: by the time the last one ends, most
# values are here. Shows what elements printed, said and warned. A failed one leaves a condition in place of its value.
gather_elements <- function(handle, tasks, call) {
  all <- rs_task_count(tasks)
  # `groups` and not the values themselves: to add to a long list would copy it.
  here <- rlang::env(groups = list(), count = 0, failed = NA_integer_, trouble = FALSE)
  fetch <- function(n) {
    ids <- task_ids(tasks, here$count + 1, here$count + n)
    list(ids = ids, columns = unwrap_native(rs_fetch(handle, ids), call))
  }
  keep <- function(fetched, pause) {
    columns <- fetched$columns
    values <- lapply(columns$value, `[[`, "value")
    # Most have left nothing but a value.
    for (k in which(columns$ending != "value" | lengths(columns$value) > 1L)) {
      left <- fetch_row(columns, k)
      pause()
      relay_output(left)
      values[k] <- list(task_value(left, fetched$ids[[k]]))
      if (is.na(here$failed) && is_failed(left)) {
        here$failed <- as.integer(here$count + k)
      }
    }
    here$groups[[length(here$groups) + 1L]] <- values
    here$count <- here$count + length(values)
  }
  list(
    take = function(pause) {
      for (i in seq_len(groups_at_once)) {
        n <- unwrap_native(rs_ended_from(handle, tasks, here$count, group_size), call)
        if (n == 0 || here$trouble) {
          return()
        }
        # What cannot be had now is asked for again in the end, and no reason to give up what has not ended.
        fetched <- tryCatch(fetch(n), starburst_error = function(cnd) NULL)
        here$trouble <- is.null(fetched)
        if (!here$trouble) {
          keep(fetched, pause)
        }
      }
    },
    take_rest = function() {
      while (here$count < all) {
        keep(fetch(min(group_size, all - here$count)), function() NULL)
      }
    },
    results = function() unlist(here$groups, recursive = FALSE),
    failed = function() here$failed
  )
}

raise_element <- function(results, i, call) {
  cnd <- results[[i]]
  failed <- sum(vapply(results, function(x) inherits(x, "condition") && isTRUE(x$error), NA))
  more <- c(
    x = if (failed > 1L) sprintf("%s elements failed in all", fmt(failed)),
    i = "the other values are not lost: `rlang::last_error()$last_results()`, or `.on_error = \"collect\"`"
  )
  raised <- rlang::error_cnd(
    class = setdiff(class(cnd), c("rlang_error", "error", "condition")),
    message = paste0(
      sprintf("element %d failed: %s\n", i, message_of(cnd)),
      rlang::format_error_bullets(more)
    ),
    call = call,
    parent = for_rlang(cnd)
  )
  # The user's classes with the fields that their methods expect; never by arguments, which fields could be taken for.
  for (field in setdiff(names(cnd), rlang_fields)) {
    raised[field] <- cnd[field]
  }
  raised$index <- i
  raised$last_results <- function() results
  rlang::cnd_signal(raised)
}

# The fields that rlang looks for in a condition, with `$`: it would take the user's `trace_id` for its own `trace`.
rlang_fields <- c(
  "message",
  "call",
  "parent",
  "trace",
  "body",
  "header",
  "footer",
  "rlang",
  "use_cli_format",
  "internal"
)

for_rlang <- function(cnd) {
  absent <- setdiff(rlang_fields, names(cnd))
  cnd[absent] <- list(NULL)
  cnd
}
