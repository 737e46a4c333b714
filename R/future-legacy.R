# What future before 1.40 needs besides the methods of R/future.R: a strategy that makes futures, and
# somebody who notices that the plan has changed, which those versions do not tell.

legacy_future <- function(settings, ..., lazy = FALSE) {
  f <- future::MultiprocessFuture(..., lazy = lazy)
  f[["starburst_settings"]] <- settings
  class(f) <- c("StarburstFuture", class(f))
  if (!lazy) {
    f <- run(f)
  }
  f
}

#' @export
run.StarburstFuture <- function(future, ...) {
  settings <- future[["starburst_settings"]]
  if (is.null(settings)) {
    return(NextMethod())
  }
  watch_plan()
  launch(fleet_for(settings), future)
}

# After each top-level command: stops fleets that no plan names and that owe nobody a result.
watch_plan <- function() {
  if (isTRUE(the$watching)) {
    return()
  }
  the$watching <- TRUE
  addTaskCallback(
    function(...) {
      # An error here would end the watching.
      try(stop_unplanned_fleets(), silent = TRUE)
      the$watching <- length(the$fleets) > 0L
    },
    name = "starburst_plan"
  )
}

stop_unplanned_fleets <- function() {
  strategies <- Filter(function(s) inherits(s, "starburst"), future::plan("list"))
  planned <- vapply(strategies, function(s) strategy_settings(s)$key, "")
  for (key in setdiff(ls(the$fleets), planned)) {
    fleet <- the$fleets[[key]]
    if (fleet_free(fleet) == fleet$settings$workers) {
      fleet_stop(fleet)
      rm(list = key, envir = the$fleets)
    }
  }
}
