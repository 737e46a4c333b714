# One large global there and back, with the store on the S3 of the tests: what it takes of memory besides the value.
# Run it with the environment that CONTRIBUTING.md gives for the R tests on S3; the argument is its size in GB:
# `Rscript bench/large-global.R 2` needs 10 GB of memory, most of it for the value: here, in the worker's R, in the store.
library(starburst)
options(starburst.store = "s3://starburst/bench")
gb <- as.numeric(c(commandArgs(TRUE), "2")[[1]])
peak <- function(pid) {
  line <- grep("VmHWM", readLines(sprintf("/proc/%s/status", pid)), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
pids <- function(...) system2("pgrep", c(...), stdout = TRUE)
bytes_in <- function() {
  counts <- url(paste0(Sys.getenv("STARBURST_TEST_S3"), "/-/counts"))
  on.exit(close(counts))
  as.numeric(sub("bytes_in ", "", grep("^bytes_in ", readLines(counts), value = TRUE)))
}
session <- starburst_session(workers = 1, launch_type = "LOCAL")
# The worker and its R are there and have done something before anything is measured.
invisible(session$result(session$submit(quote(1 + 1)), timeout = 60))
worker <- pids("-f", shQuote(paste0("[s]tarburst-worker .*--session ", session$id)))
child <- pids("-P", worker)
before <- list(client = peak("self"), worker = peak(worker), child = peak(child), bytes = bytes_in())

x <- runif(gb * 1e9 / 8)
made <- peak("self")
sending <- system.time({
  id <- session$submit(quote(x), globals = list(x = x))
  session$flush()
})
sent <- peak("self")
receiving <- system.time(y <- session$result(id, timeout = 3600))
received <- peak("self")
after <- list(worker = peak(worker), child = peak(child), bytes = bytes_in())
stopifnot(identical(x, y))
session$cleanup(force = TRUE)

size <- as.numeric(object.size(x)) / 1024^2
cat(
  sprintf(
    "the value: %.0f MB; sent in %.0f s, back in %.0f s, identical",
    size,
    sending[[3]],
    receiving[[3]]
  ),
  sprintf("client: %.0f MB before, %.0f with the value", before$client, made),
  sprintf(
    "  sending took %.0f MB more, receiving %.0f more, %.0f of it the second value",
    sent - made,
    received - sent,
    size
  ),
  sprintf("worker binary: %.0f MB before, a peak of %.0f", before$worker, after$worker),
  sprintf("R of the worker: %.0f MB before, a peak of %.0f", before$child, after$child),
  sprintf("uploaded: %.0f MB, the result's included", (after$bytes - before$bytes) / 1024^2),
  sep = "\n"
)
