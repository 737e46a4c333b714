# Conditions of the package: one class a kind, all of them also `starburst_error`.

error_kinds <- c(
  "invalid_input",
  "not_found",
  "permission",
  "unauthenticated",
  "capacity",
  "quota",
  "cost",
  "unavailable",
  "environment",
  "worker_lost",
  "data",
  "version",
  "closed",
  "internal",
  "stale_handle",
  "task_failed",
  "cancelled",
  "timeout",
  "not_set_up",
  "environment"
)

starburst_abort <- function(message, kind, ..., call = rlang::caller_env(), parent = NULL) {
  rlang::abort(
    message,
    class = c(paste0("starburst_error_", kind), "starburst_error"),
    kind = kind,
    ...,
    call = call,
    parent = parent
  )
}

# An argument is wrong: which, what was given, what is allowed.
abort_input <- function(arg, given, allowed, call = rlang::caller_env()) {
  starburst_abort(
    c(
      sprintf("`%s` must be %s", arg, allowed),
      x = sprintf("`%s` is %s", arg, given)
    ),
    kind = "invalid_input",
    arg = arg,
    call = call
  )
}

is_quiet <- function() isTRUE(getOption("starburst.quiet", FALSE))
