# Measures one workload on one backend, in a process of its own, and prints one line that run.R reads.
# usage: one.R <workload> <backend> [address of the S3 of the tests]
arguments <- commandArgs(trailingOnly = TRUE)
source("backends.R")
source("workloads.R")
source("processes.R")
work <- workloads[[arguments[[1]]]]
address <- if (length(arguments) > 2L) arguments[[3]]
options(starburst.quiet = TRUE, warn = 1)
options(future.globals.maxSize = Inf)
options(starburst.store = if (is.null(address)) tempfile("store") else "s3://starburst/bench")

# Caches of chunks are kept for whoever comes next on a host: each measurement begins without.
dir.create(empty <- tempfile("caches"))
Sys.setenv(TMPDIR = empty)

with <- backend(arguments[[2]])
if (isTRUE(work$plan)) {
  with$start_plan(work$workers)
} else if (isFALSE(work$plan)) {
  with$start(work$workers)
}
invisible(gc())
before <- c(own_peak(), s3_counts(address))
began <- proc.time()[["elapsed"]]
right <- work$run(with)
took <- proc.time()[["elapsed"]] - began
after <- c(own_peak(), s3_counts(address))
if (!isTRUE(right)) {
  stop("the values are wrong")
}
peaks <- c(client = unname(after[[1]] - before[[1]]), worker_peaks())
with$stop()
spent <- after[-1] - before[-1]
line <- c(seconds = took, peaks, spent)
cat("measured", paste(names(line), format(line, digits = 6, trim = TRUE), sep = "=", collapse = " "), "\n")
