# The pipes to the worker: what a frame is, is said in starburst-worker/src/frames.rs.

# From this size on a result goes through a file: writeBin() takes no more than 2^31 - 1 bytes at once,
# and a raw vector of a large result would be in memory besides the result.
large <- 2^29
object_size <- utils::object.size

open_pipe <- function() {
  pipe <- new.env(parent = emptyenv())
  pipe$input <- file("/dev/fd/3", open = "rb", raw = TRUE)
  open_output(pipe)
  # The mark that the worker gave this R. Frames begin and end with it: a program that a task starts inherits the pipe, and
  # the worker does not take for an answer what such a program writes there.
  pipe$mark <- readBin(pipe$input, "integer", 4L)
  the$pipe <- pipe
  pipe
}

own_connections <- function() c(the$pipe$input, the$pipe$output, the$output)

open_output <- function(pipe) {
  pipe$output <- file("/dev/fd/4", open = "wb", raw = TRUE)
}

# Whether both connections are the ones that were opened. Code of a task may close all connections, and open others under
# the same numbers.
is_whole <- function(pipe) {
  described <- function(connection) {
    tryCatch(summary.connection(connection)$description, error = function(cnd) "")
  }
  identical(c(described(pipe$input), described(pipe$output)), c("/dev/fd/3", "/dev/fd/4"))
}

send <- function(pipe, what, number, bytes) {
  # The name of a file stands for its bytes.
  if (is.character(bytes)) {
    what <- what + 5L
    bytes <- charToRaw(bytes)
  }
  writeBin(c(pipe$mark, what, number, length(bytes)), pipe$output)
  writeBin(bytes, pipe$output)
  writeBin(pipe$mark, pipe$output)
  # Each answer on its own: if the next task kills R, it is known which one it was.
  flush(pipe$output)
}

# Sends a task's answer. An R that cannot serve the next task says so and ends, which costs no task an attempt.
#
# `failed` is the condition that a task failed with: its classes and message go ahead as text, so that nobody has to
# unserialize a failure to show it.
send_answer <- function(pipe, at, what, bytes, failed = NULL) {
  if ((at$kind != "element" || the$lost_sink) && !is_whole(pipe)) {
    open_output(pipe)
    the$retires <- TRUE
  }
  the$lost_sink <- FALSE
  if (what == 2L) {
    send(pipe, 9L, at$number, charToRaw(failure_text(failed)))
  }
  send(pipe, what, at$number, bytes)
  if (the$retires) {
    leave(pipe, at)
  }
}

# Ends this R. The tasks that it was given and did not begin go to another, at no cost.
leave <- function(pipe, at) {
  send(pipe, 8L, at$number, raw())
  quit("no", runLast = FALSE)
}

# The number of classes, the classes and the message, a line each.
failure_text <- function(cnd) {
  classes <- enc2utf8(as.character(utils::head(class(cnd), 5L)))
  classes[!validUTF8(classes)] <- "?"
  classes <- gsub("\n", " ", substr(classes, 1L, 100L), fixed = TRUE)
  # The class of a condition may have a method of its own, which may fail.
  message <- tryCatch(paste(conditionMessage(cnd), collapse = "\n"), error = function(cnd) "")
  if (!is.character(message) || length(message) != 1L || is.na(message)) {
    message <- ""
  }
  message <- enc2utf8(message)
  if (!validUTF8(message)) {
    message <- "?"
  }
  if (nchar(message) > longest_message) {
    message <- paste0(substr(message, 1L, longest_message), "...")
  }
  paste(c(length(classes), classes, message), collapse = "\n")
}

# A ledger holds the messages of all tasks of a part, and is written again and again.
longest_message <- 500L

pack <- function(x) {
  if (is_plain(x$value) || object_size(x) < large) {
    bytes <- serialize(x, connection = NULL, xdr = FALSE)
    # object.size() does not see into environments.
    if (length(bytes) < 2^31 - 1) {
      return(bytes)
    }
    rm(bytes)
  }
  path <- tempfile("result")
  file <- file(path, open = "wb", raw = TRUE)
  on.exit(close(file))
  serialize(x, file, xdr = FALSE)
  path
}

# Whether a value is small for sure, without a look at all of it.
is_plain <- function(x) is.atomic(x) && length(x) < 1000L && is.null(attributes(x))

kinds <- c("future", "call", "element")

serve <- function(pipe) {
  version <- c(R.version$major, sub("[.].*", "", R.version$minor), future_version())
  send(pipe, 5L, 0L, charToRaw(paste0(version, "\n", collapse = "")))
  at <- new.env()
  # How many tasks of a frame are still to be read.
  at$left <- 0L
  at$seeded <- FALSE
  at$served <- 0L
  at$signal <- function(cnd) send(pipe, 4L, at$number, pack(cnd))
  caught <- function(cnd) cnd
  # Handlers for all tasks: new ones for each would cost more than a small element does.
  repeat {
    cnd <- withRestarts(
      tryCatch(
        withCallingHandlers(
          serve_on(pipe, at),
          error = function(cnd) note_error(at),
          condition = function(cnd) note_condition(at, cnd)
        ),
        error = caught,
        interrupt = caught
      ),
      abort = function() simpleError("the task invoked the restart \"abort\"")
    )
    if (is.null(cnd)) {
      return()
    }
    recover(pipe, at, cnd)
  }
}

# Goes on after an error of a task, or of the code around it.
recover <- function(pipe, at, cnd) {
  # A time limit that the task left would strike here.
  setTimeLimit()
  if (at$doing == "reading") {
    # A stream that cannot be read leaves the pipe at an unknown place: say so and end.
    send(pipe, 3L, at$number, charToRaw(enc2utf8(conditionMessage(cnd))))
    quit("no", status = 70)
  }
  if (at$doing == "waiting") {
    # The last task closed the pipe behind its answer.
    open_output(pipe)
    leave(pipe, at)
  }
  if (inherits(cnd, "interrupt")) {
    cnd <- simpleError("the task was interrupted")
  }
  left <- if (at$doing == "element") {
    end_element(at, list(condition = cnd, trace = at$trace))
  } else if (at$kind == "future") {
    cnd
  } else {
    list(condition = cnd)
  }
  # What cannot be sent back is the task's failure, not the end of R.
  bytes <- tryCatch(pack(left), error = function(cnd) pack(list(condition = cnd)))
  send_answer(pipe, at, 2L, bytes, cnd)
}

# R compiles functions such as these only when they are defined by its user. To do so takes as long as some thousands of
# small elements lose without.
compile_from <- 4000L
each_element <- c(
  "serve_next",
  "read_next",
  "evaluate",
  "evaluate_element",
  "end_element",
  "divert",
  "diverted",
  "tidy",
  "with_seed",
  "attach_packages",
  "assign_globals",
  "note_condition",
  "pack",
  "is_plain",
  "remove_globals",
  "send",
  "send_answer"
)

compile <- function() {
  here <- environment(serve)
  for (name in each_element) {
    assign(name, compiler::cmpfun(get(name, envir = here)), envir = here)
  }
}

# Evaluates tasks until the pipe ends. `at` is what it is at, for who catches what goes wrong.
serve_on <- function(pipe, at) {
  while (serve_next(pipe, at)) {
    at$served <- at$served + 1L
    if (at$served == compile_from) {
      compile()
    }
  }
}

# Reads the next task, and what comes before it. `FALSE` when there is none.
read_next <- function(pipe, at) {
  repeat {
    if (at$left == 0L) {
      at$doing <- "waiting"
      head <- readBin(pipe$input, "integer", 4L)
      if (length(head) < 4L) {
        return(FALSE)
      }
      at$kind <- if (head[[1L]] == 1L) kinds[[head[[2L]] + 1L]] else "shared"
      at$number <- head[[3L]] - 1L
      at$left <- head[[4L]]
    }
    at$number <- at$number + 1L
    at$left <- at$left - 1L
    at$doing <- "reading"
    at$payload <- unserialize(pipe$input)
    if (at$kind != "shared") {
      return(TRUE)
    }
    at$shared <- at$payload
    if (!is.null(at$shared$fun)) {
      at$shared$run <- with_arguments(at$shared$fun, at$shared$args)
    }
    at$payload <- NULL
    restore()
    if (the$retires) {
      leave(pipe, at)
    }
  }
}

serve_next <- function(pipe, at) {
  if (!read_next(pipe, at)) {
    return(FALSE)
  }
  at$doing <- "preparing"
  # Told with the first task, by this R and all others: the client says it once.
  for (words in the$missing) {
    at$signal(warningCondition(words, class = "starburst_warning_worker", call = NULL))
  }
  the$missing <- NULL
  payload <- at$payload
  at$payload <- NULL
  answer <- evaluate(payload, at)
  payload <- NULL
  at$doing <- "packing"
  bytes <- pack(answer$value)
  at$doing <- "sending"
  send_answer(pipe, at, if (answer$failed) 2L else 1L, bytes, answer$condition)
  TRUE
}
