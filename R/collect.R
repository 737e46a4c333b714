# Submitting maps, collecting results, and looking at tasks: the work behind the session's methods.

# Submits the elements; returns them as a set of tasks, which for a million is as small as for one.
submit_map <- function(handle, elements, .f, args, packages, globals, seed, envir, call) {
  fun <- as_function(.f, call)
  seed <- check_seed(seed, ".seed", call)
  shared <- gather_function(fun, args, envir, globals, packages, call)
  shared <- unwrap_native(rs_share(handle, shared), call)
  streams <- make_streams(seed, length(elements))
  payloads <- if (is.null(streams)) {
    lapply(elements, function(x) list(x = x))
  } else {
    .mapply(function(x, seed) list(x = x, seed = seed), list(elements, streams), NULL)
  }
  labels <- names(elements) %||% character()
  labels[is.na(labels)] <- ""
  unwrap_native(rs_submit_elements(handle, shared, unname(payloads), enc2utf8(labels)), call)
}

collect_tasks <- function(handle, cache, told, ids, wait, timeout, progress, call) {
  if (!is.null(ids)) {
    check_ids(ids, "ids", call)
  }
  check_flag(wait, "wait", call)
  check_flag(progress, "progress", call)
  check_number(timeout, "timeout", 0, Inf, call)
  unwrap_native(rs_flush(handle), call)
  unwrap_native(rs_refresh(handle), call)
  all <- if (is.null(ids)) unwrap_native(rs_tasks(handle), call)
  chosen <- if (is.null(ids)) all$id else ids
  if (wait) {
    wait_for_tasks(handle, unwrap_native(rs_tasks_of(chosen), call), timeout, progress, call)
  }
  states <- unwrap_native(rs_known(handle, chosen), call)
  over <- states %in% ended_words
  values <- fetch_tasks(handle, chosen[over], if (is.null(ids)) cache, told, call)
  if (!all(is.na(all$label))) {
    attr(values, "labels") <- all$label[over]
  }
  values
}

# Warns of tasks that failed since it was last told.
tell_failures <- function(values, told, call) {
  is_failure <- function(x) inherits(x, "condition") && isTRUE(x$error) && is.character(x$task_id)
  failed <- names(values)[vapply(values, is_failure, NA)]
  new <- failed[!vapply(failed, exists, NA, envir = told$failures, inherits = FALSE)]
  for (id in new) {
    assign(id, TRUE, envir = told$failures)
  }
  if (length(new)) {
    shown <- utils::head(new, 5L)
    rlang::warn(
      c(
        sprintf("%s of %s tasks failed", fmt(length(failed)), fmt(length(values))),
        rlang::set_names(
          sprintf("`%s`: %s", shown, vapply(values[shown], function(cnd) first_line(message_of(cnd)), "")),
          rep("x", length(shown))
        ),
        if (length(new) > length(shown)) c(x = sprintf("and %s more", fmt(length(new) - length(shown)))),
        i = "each is a condition in place of its value; `$errors()` lists them, `$retry()` lets them run again"
      ),
      class = "starburst_warning_failed_tasks",
      task_ids = failed
    )
  }
}

first_line <- function(text) strsplit(text, "\n", fixed = TRUE)[[1L]][[1L]]

# The ids of a set of tasks.
task_ids <- function(tasks, from = 1, to = rs_task_count(tasks)) unwrap_native(rs_task_ids(tasks, from, to))

# `meanwhile` is called again and again, with a function that clears the progress bar before something is shown.
wait_for_tasks <- function(handle, tasks, timeout, progress, call, meanwhile = function(pause) NULL) {
  all <- rs_task_count(tasks)
  bar <- progress_for(progress, all, "Tasks")
  on.exit(bar$close())
  open <- all
  done <- function() {
    meanwhile(bar$pause)
    open <<- unwrap_native(rs_open_among(handle, tasks), call)
    bar$update(all - open)
    open == 0
  }
  if (!wait_until(handle, done, timeout, call = call)) {
    starburst_abort(
      c(
        sprintf(
          "%s of %s tasks have not ended after %s seconds",
          fmt(open),
          fmt(all),
          fmt(timeout)
        ),
        i = "the work goes on: wait longer, or collect later"
      ),
      kind = "timeout",
      waited_s = timeout,
      call = call
    )
  }
}

# Results are fetched in groups: fast, and with no more than a group of them in memory twice.
group_size <- 1000L
# So many groups are fetched in a row before it is looked how far the tasks are.
groups_at_once <- 10L

# `told` remembers whose warnings were raised, by task id.
fetch_tasks <- function(handle, ids, cache, told, call) {
  values <- vector("list", length(ids))
  missing <- if (is.null(cache)) seq_along(ids) else which(!ids %in% ls(cache, all.names = TRUE))
  for (group in split(missing, (seq_along(missing) - 1L) %/% group_size)) {
    columns <- unwrap_native(rs_fetch(handle, ids[group]), call)
    for (k in seq_along(group)) {
      id <- ids[[group[[k]]]]
      left <- fetch_row(columns, k)
      if (!isTRUE(told$warnings[[id]]) && length(left$value$said)) {
        assign(id, TRUE, envir = told$warnings)
        relay_warnings(left)
      }
      kept <- list(task_value(left, id))
      values[group[[k]]] <- kept
      # A value is for ever; a failure may be retried, here or elsewhere.
      if (!is.null(cache) && columns$ending[[k]] == "value") {
        assign(id, kept, envir = cache)
      }
    }
  }
  for (i in setdiff(seq_along(ids), missing)) {
    values[i] <- cache[[ids[[i]]]]
  }
  names(values) <- ids
  values
}

session_errors <- function(handle, call) {
  unwrap_native(rs_refresh(handle), call)
  failed <- as.data.frame(unwrap_native(rs_failures(handle, Inf), call))
  broken <- c(worker_lost = "worker_lost", timeout = "timeout", unreadable = "data")
  ours <- failed$ending != "error"
  failed$class[ours] <- paste0("starburst_error_", broken[failed$ending[ours]])
  failed[c("task_id", "label", "class", "message", "attempts", "worker")]
}

task_log <- function(handle, id, call) {
  unwrap_native(rs_refresh(handle), call)
  left <- fetch_row(unwrap_native(rs_fetch(handle, id), call), 1L)
  printed <- unwrap_native(rs_printed(handle, id), call)
  # What broke a task is part of its log, with the last words of its R.
  paste0(printed, kept_output(left), if (!is.na(left$message)) paste0(left$message, "\n"))
}
