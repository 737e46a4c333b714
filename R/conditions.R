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

# The value of an argument of the user's call. One that is missing, or whose code fails, is told as that call's error, and
# not as one of the function here that looks at it first.
given <- function(x, arg, call) {
  if (missing(x)) {
    abort_missing(arg, call)
  }
  withCallingHandlers(x, error = function(cnd) {
    at <- conditionCall(cnd)
    # Of code that is in no function of the user.
    if (is.call(at) && identical(at[[1L]], quote(withCallingHandlers))) {
      cnd["call"] <- list(call_of(call))
      stop(cnd)
    }
  })
}

abort_missing <- function(arg, call) {
  starburst_abort(
    c(sprintf("`%s` is missing", arg), i = sprintf("give it: the call has no default for `%s`", arg)),
    kind = "invalid_input",
    arg = arg,
    call = call
  )
}

# The user's call, from the frame that it made.
call_of <- function(call) if (is.environment(call)) rlang::frame_call(call) else call

is_quiet <- function() isTRUE(getOption("starburst.quiet", FALSE))
