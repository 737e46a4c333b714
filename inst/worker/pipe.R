# The pipes to the worker: what a frame is, is said in starburst-worker/src/frames.rs.

# From this size on a result goes through a file: writeBin() takes no more than 2^31 - 1 bytes at once,
# and a raw vector of a large result would be in memory besides the result.
large <- 2^29

open_pipe <- function() {
  list(
    input = file("/dev/fd/3", open = "rb", raw = TRUE),
    output = file("/dev/fd/4", open = "wb", raw = TRUE)
  )
}

send <- function(pipe, what, number, bytes) {
  # The name of a file stands for its bytes.
  if (is.character(bytes)) {
    what <- what + 5L
    bytes <- charToRaw(bytes)
  }
  writeBin(c(what, number), pipe$output)
  writeBin(as.double(length(bytes)), pipe$output)
  writeBin(bytes, pipe$output)
  flush(pipe$output)
}

pack <- function(x) {
  if (utils::object.size(x) < large) {
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

serve <- function(pipe) {
  version <- c(R.version$major, sub("[.].*", "", R.version$minor), future_version())
  send(pipe, 5L, 0L, charToRaw(paste0(version, "\n", collapse = "")))
  shared <- NULL
  repeat {
    head <- readBin(pipe$input, "integer", 4L)
    if (length(head) < 4L) {
      return()
    }
    # A stream that cannot be read leaves the pipe at an unknown place: say so and end.
    payload <- tryCatch(unserialize(pipe$input), error = function(e) {
      send(pipe, 3L, head[[3]], charToRaw(enc2utf8(conditionMessage(e))))
      quit("no", status = 70)
    })
    if (head[[1]] == 2L) {
      shared <- payload
      restore()
      next
    }
    signal <- function(cnd) send(pipe, 4L, head[[3]], pack(cnd))
    # Told with the first task, by this R and all others: the client says it once.
    for (words in the$missing) {
      signal(warningCondition(words, class = "starburst_warning_worker", call = NULL))
    }
    the$missing <- NULL
    kind <- c("future", "call", "element")[[head[[2]] + 1L]]
    answer <- evaluate(kind, payload, shared, signal)
    # What cannot be sent back is the task's failure, not the end of R.
    bytes <- tryCatch(pack(answer$value), error = function(cnd) cnd)
    if (inherits(bytes, "condition")) {
      answer$failed <- TRUE
      bytes <- pack(if (kind == "future") bytes else list(condition = bytes))
    }
    payload <- NULL
    send(pipe, if (answer$failed) 2L else 1L, head[[3]], bytes)
    answer <- bytes <- NULL
  }
}
