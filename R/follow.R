# Work in AWS that takes minutes: asking before it, and showing how far it is.

say <- function(text) {
  if (!is_quiet()) {
    rlang::inform(text, class = "starburst_message")
  }
}

# Asks once. `missing_ask` tells that the caller said nothing about asking: a script must say it.
may_go_on <- function(lines, question, ask, missing_ask, call) {
  check_flag(ask, "ask", call)
  if (!rlang::is_interactive() && (ask || missing_ask)) {
    starburst_abort(
      c(
        "this R is not interactive, so nobody can be asked",
        rlang::set_names(sub("^- ", "", lines), ifelse(startsWith(lines, "- "), "*", " ")),
        i = "to go ahead without a question, give `ask = FALSE`"
      ),
      kind = "invalid_input",
      arg = "ask",
      call = call
    )
  }
  if (!ask) {
    say(paste(lines, collapse = "\n"))
    return(TRUE)
  }
  # What is asked about is shown even when everything else is quiet.
  rlang::inform(paste(lines, collapse = "\n"), class = "starburst_message")
  answer <- tolower(trimws(readline(paste0(question, " [y/N] "))))
  answer %in% c("y", "yes")
}

# Waits for a job of the native side and shows what it says. Ctrl-C ends the waiting, not what AWS does.
follow <- function(job, label, call = rlang::caller_env()) {
  on.exit(rs_job_drop(job))
  show <- shown_steps(label)
  on.exit(show$close(), add = TRUE)
  repeat {
    look <- unwrap_native(rs_job_next(job, step_ms), call)
    for (i in seq_along(look$steps)) {
      show$update(look$steps[[i]], look$counts[[i]])
    }
    if (!is.null(look$answer)) {
      return(look$answer)
    }
    show$tick()
  }
}

# A terminal shows one line that changes, everything else a message for each step.
shown_steps <- function(label) {
  nothing <- function(...) NULL
  if (is_quiet()) {
    return(list(update = nothing, tick = nothing, close = nothing))
  }
  if (!cli::is_dynamic_tty()) {
    step <- function(text, count) if (!is.na(text)) say(text)
    return(list(update = step, tick = nothing, close = nothing))
  }
  env <- new.env()
  env$label <- label
  env$said <- ""
  bar <- cli::cli_progress_bar(
    format = "{cli::pb_spin} {label} [{cli::pb_elapsed}] {said}",
    total = NA,
    .envir = env,
    .auto_close = FALSE
  )
  env$step <- ""
  list(
    update = function(text, count) {
      if (is.na(text)) {
        env$said <- sprintf("%s: %s", env$step, fmt(count))
      } else {
        env$step <- text
        env$said <- text
      }
    },
    tick = function() cli::cli_progress_update(inc = 0, id = bar, .envir = env),
    close = function() cli::cli_progress_done(id = bar, .envir = env)
  )
}
