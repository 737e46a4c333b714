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

# The expression of a future before 1.40: the user's own in the middle of code that calls some functions of base by their
# bare names. A global of the user with such a name would be called instead, so they are named with their package.
legacy_expression <- function(f, expression_of) {
  written <- f[["expr"]]
  f[["expr"]] <- quote(.starburst_expr)
  on.exit(assign("expr", written, envir = f))
  around <- expression_of(f)
  if (!identical(around, the$code_around)) {
    the$code_around <- around
    the$qualified_around <- qualified(around)
  }
  eval(call("substitute", the$qualified_around, list(.starburst_expr = written)))
}

# R looks up the rest of base by its syntax, or it is no function.
syntax <- c(
  "{",
  "(",
  "if",
  "for",
  "while",
  "repeat",
  "break",
  "next",
  "function",
  "<-",
  "=",
  "<<-",
  "::",
  ":::",
  "$",
  "@",
  "~"
)

qualified <- function(code) {
  if (is.call(code) && identical(code[[1L]], quote(base::local)) && length(code) == 2L) {
    return(local_below_base(qualified(code[[2L]])))
  }
  if (is.pairlist(code) && !is.null(code)) {
    return(as.pairlist(lapply(code, qualified)))
  }
  if (!is.call(code)) {
    return(code)
  }
  head <- code[[1L]]
  if (is.name(head) && as.character(head) %in% c("::", ":::")) {
    return(code)
  }
  parts <- lapply(code, qualified)
  if (identical(parts[-1L][1L], list(quote(.Platform)))) {
    parts[[2L]] <- quote(base::.Platform)
  }
  bare <- is.name(head) && !as.character(head) %in% syntax
  if (bare && exists(as.character(head), envir = baseenv(), mode = "function", inherits = FALSE)) {
    parts[[1L]] <- call("::", quote(base), head)
  }
  made <- as.call(parts)
  attributes(made) <- attributes(code)
  made
}

# local() of R calls eval(), quote() and new.env() by their bare names in the global environment. The same call as R's,
# which conditions show, in an environment in which these names are those of base.
local_below_base <- function(code) {
  bquote(base::eval(
    base::quote(eval(quote(.(code)), new.env())),
    base::list2env(
      base::list(new.env = function() base::new.env(parent = base::globalenv())),
      parent = base::baseenv()
    )
  ))
}
