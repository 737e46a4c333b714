# How memory and disk of a plan grow over many futures. usage: Rscript bench/growth.R [futures]
suppressPackageStartupMessages({
  library(future)
  library(starburst)
})
total <- as.numeric(c(commandArgs(TRUE), 200000)[[1]])
store <- tempfile("growth")
options(starburst.store = store)
plan(starburst, workers = 2, launch_type = "LOCAL")
resident <- function() {
  line <- grep("^VmRSS", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
on_disk <- function() {
  files <- list.files(store, recursive = TRUE, full.names = TRUE, all.files = TRUE)
  sum(file.size(files), na.rm = TRUE) / 2^20
}
step <- total / 10
started <- proc.time()[["elapsed"]]
cat("| futures read | client MB | store MB | seconds |\n|---|---|---|---|\n")
for (k in 1:10) {
  for (j in seq_len(step / 100)) {
    futures <- lapply(1:100, function(i) future(i, globals = list(i = i)))
    values <- lapply(futures, value)
  }
  # The value of 1 MB is one of those that are kept in chunks.
  for (j in 1:20) {
    value(future(stats::runif(131072), seed = TRUE))
  }
  gc()
  seconds <- proc.time()[["elapsed"]] - started
  cat(sprintf(
    "| %s | %.0f | %.1f | %.0f |\n",
    format(k * step, big.mark = ",", scientific = FALSE),
    resident(),
    on_disk(),
    seconds
  ))
}
plan(sequential)
