# Evaluates one task. A future carries its own evaluator; calls and map elements use the one here.

the <- new.env()

# What the user's code may assume, set once. `travel` is the file with what this R takes over from the client's.
prepare <- function(cpu, travel) {
  if (requireNamespace("future", quietly = TRUE)) {
    # Loaded before the first task, so that no task waits for it.
    future::plan("sequential")
  }
  cores <- max(1L, as.integer(cpu))
  # A task has the cores its plan asked for, whatever the host has.
  options(
    mc.cores = cores,
    parallelly.availableCores.methods = "custom",
    parallelly.availableCores.custom = function() cores,
    warn = 0L
  )
  the$missing <- take_over(travel)
  # Takes what a map's elements print; made anew only when something was printed.
  the$diverted <- FALSE
  the$output <- rawConnection(raw(0L), open = "w")
  # Another R is needed for the next task.
  the$retires <- FALSE
  # An element ended the diversion of its output, as code does that closes all connections.
  the$lost_sink <- FALSE
  remember_state()
}

future_version <- function() {
  if (requireNamespace("future", quietly = TRUE)) {
    as.character(utils::packageVersion("future"))
  } else {
    "0.0.0"
  }
}

# Empties the global environment between elements. What an element prints stays diverted, for the next one.
# A seed that is all there is may stay for one that brings its own: to remove it costs more than a small element does.
tidy <- function(seeded = FALSE) {
  left <- length(globalenv())
  if (left > 0L && !(seeded && left == 1L && exists(".Random.seed", envir = globalenv(), inherits = FALSE))) {
    remove_globals()
  }
}

# Keeps what is printed from now on. Elements are many and small: it stays so from one to the next.
divert <- function() {
  if (!the$diverted) {
    sink(the$output)
    the$diverted <- TRUE
  }
}

# Takes what was printed since the last call; NULL for nothing.
diverted <- function() {
  if (sink.number() != 1L) {
    # The code ended diversions it had not begun, or began some and did not end them.
    end_sinks()
    the$lost_sink <- TRUE
  }
  # Code that closes all connections closes this one too.
  printed <- tryCatch(rawConnectionValue(the$output), error = function(cnd) NULL)
  if (!is.null(printed) && length(printed) == 0L) {
    return(NULL)
  }
  end_sinks()
  try(close(the$output), silent = TRUE)
  the$output <- rawConnection(raw(0L), open = "w")
  if (!is.null(printed)) rawToChar(printed)
}

# Puts back what a task changed, after every future and call, and between maps: it takes longer than a small element.
restore <- function() {
  end_sinks()
  if (!restore_state()) {
    the$retires <- TRUE
  }
}

evaluate <- function(payload, at) {
  if (at$kind == "element") {
    return(evaluate_element(payload, at))
  }
  on.exit(restore())
  end_sinks()
  tidy()
  if (at$kind != "future") {
    return(evaluate_call(payload, at$signal))
  }
  if (is.null(payload$expr)) {
    payload$expr <- at$shared$expr
  }
  evaluate_future(payload, at$signal)
}

assign_globals <- function(globals) {
  for (name in names(globals)) {
    assign(name, globals[[name]], envir = globalenv())
  }
}

is_immediate <- function(cnd, classes) inherits(cnd, classes)

relay_and_muffle <- function(cnd, signal) {
  signal(cnd)
  for (restart in computeRestarts(cnd)) {
    if (length(restart$name) && grepl("^muffle", restart$name)) {
      invokeRestart(restart)
    }
  }
}

evaluate_future <- function(payload, signal) {
  assign_globals(payload$globals)
  result <- tryCatch(
    withCallingHandlers(
      eval(payload$expr, envir = globalenv()),
      condition = function(cnd) {
        if (is_immediate(cnd, payload$immediate)) {
          relay_and_muffle(cnd, signal)
        }
      }
    ),
    error = identity
  )
  cnd <- if (inherits(result, "error")) result else error_of(result)
  list(failed = !is.null(cnd), value = result, condition = cnd)
}

# The last condition of a FutureResult is its error, if there was one.
error_of <- function(result) {
  conditions <- if (inherits(result, "FutureResult")) result$conditions
  last <- if (length(conditions)) conditions[[length(conditions)]]$condition
  if (inherits(last, "error")) last
}

with_seed <- function(seed) {
  if (!is.null(seed)) {
    assign(".Random.seed", seed, envir = globalenv())
  }
}

attach_packages <- function(packages) {
  if (length(packages) == 0L) {
    return()
  }
  for (package in setdiff(packages, sub("^package:", "", search()))) {
    suppressPackageStartupMessages(library(package, character.only = TRUE))
  }
}

# The calls between the user's code and the error, as text. The last ones are those of handlers.
trace_of <- function(calls, skip, handlers) {
  calls <- utils::head(calls, -handlers)
  calls <- if (length(calls) > skip) calls[-seq_len(skip)] else calls
  text <- vapply(calls, function(call) paste(deparse(call, nlines = 1L), collapse = ""), "")
  utils::tail(substr(text, 1L, 200L), 30L)
}

# Evaluates `run()` and keeps its value, or its error with the calls that led to it.
guarded <- function(run, signal, on_condition) {
  trace <- NULL
  depth <- sys.nframe()
  tryCatch(
    withCallingHandlers(
      list(value = run()),
      error = function(cnd) trace <<- trace_of(sys.calls(), depth + 6L, 2L),
      condition = function(cnd) {
        if (is_immediate(cnd, "immediateCondition")) {
          relay_and_muffle(cnd, signal)
        } else {
          on_condition(cnd)
        }
      }
    ),
    error = function(cnd) list(condition = without_own_call(cnd), trace = trace)
  )
}

# An error of the user's code outside of any function names as its call the one that evaluates it here. At the prompt it
# would name none.
without_own_call <- function(cnd) {
  if (is.list(cnd) && identical(conditionCall(cnd), evaluating)) {
    cnd["call"] <- list(NULL)
  }
  cnd
}

evaluating <- quote(eval(payload$expr, envir = new.env(parent = globalenv())))

answer <- function(kept) {
  list(failed = !is.null(kept[["condition"]]), value = kept, condition = kept[["condition"]])
}

# A session's task: output, messages and warnings go to the worker's log, and warnings back with its value too.
evaluate_call <- function(payload, signal) {
  said <- NULL
  say <- function(cnd) {
    if (inherits(cnd, "warning")) {
      cat("Warning: ", conditionMessage(cnd), "\n", sep = "", file = stderr())
      if (length(said) < most_warnings) {
        said <<- c(said, list(without_own_call(cnd)))
      }
      tryInvokeRestart("muffleWarning")
    }
  }
  run <- function() {
    attach_packages(payload$packages)
    assign_globals(payload$globals)
    with_seed(payload$seed)
    eval(payload$expr, envir = new.env(parent = globalenv()))
  }
  kept <- guarded(run, signal, say)
  kept$said <- said
  answer(kept)
}

# As many warnings as R itself keeps of one call at the prompt go back with a task's value.
most_warnings <- 50L

# A map's function with its further arguments, as they are, whatever they are. Errors and tracebacks show the call
# `.f(.x, ...)`, in the words of the user's own call.
with_arguments <- function(.f, args) {
  force(.f)
  if (length(args) == 0L) {
    return(function(.x) .f(.x))
  }
  make <- function(...) function(.x) .f(.x, ...)
  do.call(make, args, quote = TRUE)
}

# One element of a map: what it prints, says and warns goes back with its value. When it fails, recover() goes on.
evaluate_element <- function(payload, at) {
  shared <- at$shared
  at$said <- at$trace <- NULL
  at$depth <- sys.nframe() + 1L
  divert()
  at$doing <- "element"
  attach_packages(shared$packages)
  assign_globals(shared$globals)
  if (is.null(payload$seed) && at$seeded) {
    tidy()
  }
  at$seeded <- !is.null(payload$seed)
  with_seed(payload$seed)
  # A list of one, as `NULL` is a value too.
  kept <- list(value = shared$run(payload$x))
  list(failed = FALSE, value = end_element(at, kept))
}

# Adds what the element said to what it left, and makes room for the next.
end_element <- function(at, kept) {
  at$doing <- "ending"
  kept$stdout <- diverted()
  kept$said <- at$said
  tidy(at$seeded)
  kept
}

note_error <- function(at) {
  if (at$doing == "element") {
    at$trace <- trace_of(sys.calls(), at$depth, 3L)
  }
}

note_condition <- function(at, cnd) {
  if (at$doing != "element") {
    return()
  }
  if (is_immediate(cnd, "immediateCondition")) {
    relay_and_muffle(cnd, at$signal)
  } else if (inherits(cnd, "message")) {
    at$said <- c(at$said, list(cnd))
    tryInvokeRestart("muffleMessage")
  } else if (inherits(cnd, "warning")) {
    at$said <- c(at$said, list(cnd))
    tryInvokeRestart("muffleWarning")
  }
}
