# Where the time of 1,000 futures goes in the client: in the future framework, in this package's R code, in its native code.
# usage: Rscript profile.R [futures]
library(starburst)
library(future)
n <- c(as.integer(commandArgs(trailingOnly = TRUE)), 1000L)[[1]]
options(starburst.quiet = TRUE, starburst.store = tempfile("store"))
plan(starburst, workers = 2, launch_type = "LOCAL")
each <- function(x) lapply(lapply(x, function(i) future(i)), value)
invisible(each(1:50))

# Seconds of processor time of this process, and of its R thread alone.
cpu <- function() sum(proc.time()[c("user.self", "sys.self")])
file <- tempfile()
cpu_before <- cpu()
began <- proc.time()[["elapsed"]]
Rprof(file, interval = 0.005)
invisible(each(seq_len(n)))
Rprof(NULL)
took <- proc.time()[["elapsed"]] - began
cpu_took <- cpu() - cpu_before

# Of each sample, the innermost function that belongs to one of the three.
names_in <- function(package) ls(asNamespace(package), all.names = TRUE)
ours <- setdiff(names_in("starburst"), names_in("future"))
native <- grep("^rs_", ours, value = TRUE)
stacks <- strsplit(readLines(file)[-1], " ", fixed = TRUE)
kind <- vapply(
  stacks,
  function(stack) {
    stack <- gsub("\"", "", stack)
    if (any(stack %in% c("rs_wait", "rs_flush"))) {
      return("waiting for workers")
    }
    first <- which(stack %in% c(ours, names_in("future"), names_in("globals")))
    if (!length(first)) {
      return("other")
    }
    inner <- stack[[first[[1]]]]
    if (inner %in% native) {
      "native code of starburst"
    } else if (inner %in% ours) {
      "R code of starburst"
    } else if (inner %in% names_in("globals")) {
      "finding globals"
    } else {
      "future"
    }
  },
  ""
)
shares <- sort(table(kind), decreasing = TRUE) / length(kind)
cat(sprintf(
  "%d futures took %.2f s: %.2f ms each, of which this process computed %.2f ms.\n\n",
  n,
  took,
  1000 * took / n,
  1000 * cpu_took / n
))
cat("| where R was | share | ms a future |\n|---|---:|---:|\n")
cat(sprintf("| %s | %.0f %% | %.2f |\n", names(shares), 100 * shares, 1000 * took / n * shares), sep = "")
plan(sequential)
