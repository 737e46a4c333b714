# How fast values leave R and come back, against base R in the same process, interleaved. The store is a directory in
# memory where the system has one, so that no disk is measured.
# usage: Rscript serialize.R [rounds]
library(starburst)
rounds <- c(as.integer(commandArgs(trailingOnly = TRUE)), 5L)[[1]]
in_memory <- if (dir.exists("/dev/shm")) "/dev/shm" else tempdir()
options(starburst.quiet = TRUE, starburst.store = tempfile("store", in_memory))
set.seed(1)
n <- 2e6
values <- list(
  "25 million normal random doubles (200 MB)" = stats::rnorm(25e6),
  "1.7 million patients: two doubles, an integer, a logical, a factor, an id, one of three words (112 MB)" = data.frame(
    weight = stats::rnorm(1.7e6),
    dose = stats::runif(1.7e6),
    days = sample.int(1e6, 1.7e6, TRUE),
    smokes = sample(c(TRUE, FALSE, NA), 1.7e6, TRUE),
    site = factor(sample(letters, 1.7e6, TRUE)),
    id = sprintf("id-%07d-x", seq_len(1.7e6)),
    arm = sample(c("case", "control", "unknown"), 1.7e6, TRUE)
  ),
  "nothing but strings: 10 million of 300,000 (192 MB)" = as.data.frame(
    lapply(stats::setNames(1:5, letters[1:5]), function(i) {
      sprintf("%s-%06d", sample(c("alpha", "beta", "gamma"), n, TRUE), sample(n %/% 20, n, TRUE))
    })
  )
)
seconds <- function(expr) {
  invisible(gc())
  system.time(expr)[[3]]
}
# A session whose worker is up, and which has done R's first call of everything. What it stored is deleted with it: the next
# finds the memory that this one had, as base R's does.
in_session <- function(run) {
  session <- starburst_session(workers = 1, launch_type = "LOCAL")
  on.exit(session$cleanup(force = TRUE))
  invisible(session$submit(quote(1)))
  invisible(session$collect(wait = TRUE))
  run(session)
}

# A virtual machine gives back what memory is free for some seconds, and gets it again slowly: what is done a second time
# at once is measured.
second <- function(run) {
  run()
  run()
}
# Other content of the same kind, so that nothing is known from the round before.
another <- function(value) {
  if (is.data.frame(value)) value[sample(nrow(value)), ] else sample(value)
}
# Serialized, compressed where that helps, and stored: until flush() has returned.
stored <- function(value) {
  in_session(function(session) {
    took <- seconds({
      session$submit(quote(NULL), globals = list(value = value))
      session$flush()
    })
    session$collect(wait = TRUE)
    took
  })
}
# A value that comes from a worker, and not from the memory of this process, in turns with base R; the first turn does
# not count. Each turn has a task of its own. Before its result is asked for, base R reads the same once, uncounted: time in
# which starburst fetches ahead, and all find the memory that was used just now. Then the result is asked for once more,
# when nothing of it is fetched ahead.
read_back <- function(value, bytes) {
  in_session(function(session) {
    turn <- function() {
      id <- session$submit(quote(value), globals = list(value = value))
      while (session$status()$completed < session$status()$total) {
        Sys.sleep(0.05)
      }
      back <- unserialize(bytes)
      back <- NULL
      fetched <- seconds(back <- session$result(id))
      stopifnot(identical(back, value))
      back <- NULL
      again <- seconds(back <- session$result(id))
      back <- NULL
      c(fetched = fetched, again = again, unserialize = seconds(back <- unserialize(bytes)))
    }
    turns <- replicate(4L, turn())
    apply(turns[, -1L], 1L, stats::median)
  })
}
one_round <- function(value) {
  value <- another(value)
  bytes <- NULL
  times <- c(
    stored = second(function() stored(value)),
    serialize = second(function() {
      bytes <<- NULL
      seconds(bytes <<- serialize(value, NULL, xdr = FALSE))
    })
  )
  times <- c(times, read_back(value, bytes))
  bytes <- NULL
  file <- tempfile()
  saved <- seconds(saveRDS(value, file))
  unlink(file)
  c(times, saveRDS = saved)
}
# How many times as fast as base R in the same round: the median of the rounds, and the least and the most.
times_as_fast <- function(rows, ours, theirs) {
  ratios <- sort(rows[, theirs] / rows[, ours])
  sprintf("%.2f (%.2f to %.2f)", stats::median(ratios), ratios[[1]], ratios[[length(ratios)]])
}

cat(
  "| value | stored | `serialize(xdr = FALSE)` | times as fast | `saveRDS()` | times as fast | read back | times as fast | not fetched ahead | times as fast | `unserialize()` |\n"
)
cat("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
for (name in names(values)) {
  rows <- do.call(rbind, lapply(seq_len(rounds), function(i) one_round(values[[name]])))
  m <- apply(rows, 2, stats::median)
  cat(sprintf(
    "| %s | %.2f s | %.2f s | %s | %.2f s | %s | %.2f s | %s | %.2f s | %s | %.2f s |\n",
    name,
    m[["stored"]],
    m[["serialize"]],
    times_as_fast(rows, "stored", "serialize"),
    m[["saveRDS"]],
    times_as_fast(rows, "stored", "saveRDS"),
    m[["fetched"]],
    times_as_fast(rows, "fetched", "unserialize"),
    m[["again"]],
    times_as_fast(rows, "again", "unserialize"),
    m[["unserialize"]]
  ))
}
unlink(getOption("starburst.store"), recursive = TRUE)
