# The only place where an error of Rust becomes a condition of R.

# Text from Rust is data: rlang::abort() prints it as it is, cli_abort() would evaluate its braces.
unwrap_native <- function(x, call = rlang::caller_env()) {
  if (!inherits(x, "extendr_error")) {
    return(x)
  }
  abort_native(x$value, call)
}

abort_native <- function(err, call) {
  if (identical(err$kind, "interrupt")) {
    rlang::interrupt()
  }
  # R's own error, such as a time limit, goes on as R raised it.
  if (identical(err$kind, "raised")) {
    stop(simpleError(err$message))
  }
  todo <- if (is.null(err$advice)) next_step(err$kind) else err$advice
  starburst_abort(
    c(
      err$message,
      rlang::set_names(err$causes, rep("x", length(err$causes))),
      if (!is.null(todo)) c(i = todo)
    ),
    kind = err$kind,
    subject = err$subject,
    arg = if (identical(err$kind, "invalid_input")) err$subject,
    call = call
  )
}

# What a user does next, by kind of error.
next_step <- function(kind) {
  switch(
    kind,
    stale_handle = paste(
      "handles do not survive saving, forking or a restart of R;",
      "attach again with `starburst_session_attach(id)`"
    ),
    not_found = "`starburst_list_sessions()` shows the sessions there are",
    permission = "choose a store you may write to: `options(starburst.store = )`",
    unauthenticated = "sign in to AWS, or set `AWS_PROFILE`",
    unavailable = "nothing that is stored is lost; try again once it can be reached",
    closed = "results that are there can be collected; for new work open a session with `starburst_session()`",
    environment = "put it right and make a new session; where only the image of the workers changed, call `starburst_rebuild_environment()` first",
    worker_lost = "the log of a worker is shown by `$logs(id)`; memory is the usual cause",
    data = paste(
      "the other tasks and sessions are not affected;",
      "`starburst_cleanup(session_ids = )` deletes a session that cannot be used any more"
    ),
    version = "use the same version of starburst, and an R that is not older, on both sides",
    internal = "this is a mistake in starburst; please report it"
  )
}
