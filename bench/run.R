# Runs workloads on backends, interleaved and in several rounds, each in a process of its own; writes a table and a plot.
source("backends.R")
source("workloads.R")
source("report.R")

options_given <- function(defaults) {
  for (argument in commandArgs(trailingOnly = TRUE)) {
    pair <- strsplit(sub("^--", "", argument), "=", fixed = TRUE)[[1]]
    if (!startsWith(argument, "--") || !pair[[1]] %in% names(defaults)) {
      stop("arguments are ", paste0("--", names(defaults), "=", collapse = " "))
    }
    defaults[[pair[[1]]]] <- pair[[2]]
  }
  defaults
}
given <- options_given(list(rounds = "3", only = "", backends = "", out = ".", add = "no"))
server <- "../target/release/starburst-s3"

# The S3 of the tests with so much latency, while `run(address)` runs; it ends with its standard input.
with_s3 <- function(milliseconds, run) {
  stopifnot("build starburst-s3 first: see README.md" = file.exists(server))
  said <- tempfile()
  file.create(said)
  held <- pipe(paste(shQuote(server), "--latency-ms", milliseconds, ">", said), "w")
  on.exit(close(held))
  until <- Sys.time() + 10
  while (!length(address <- readLines(said, warn = FALSE))) {
    if (Sys.time() > until) {
      stop("the S3 of the tests did not start")
    }
    Sys.sleep(0.05)
  }
  run(address)
}

measure <- function(work, name) {
  run <- function(address = character()) {
    arguments <- c("one.R", work, shQuote(name), address)
    said <- system2(file.path(R.home("bin"), "Rscript"), arguments, stdout = TRUE, stderr = tempfile())
    line <- grep("^measured ", said, value = TRUE)
    if (!length(line)) {
      message(work, " on ", name, " failed")
      return(NULL)
    }
    pairs <- strsplit(strsplit(trimws(sub("^measured ", "", line)), " +")[[1]], "=")
    values <- suppressWarnings(as.numeric(vapply(pairs, `[[`, "", 2)))
    names(values) <- vapply(pairs, `[[`, "", 1)
    data.frame(workload = work, backend = name, as.list(values))
  }
  if (is.null(latency(name))) {
    return(run())
  }
  Sys.setenv(
    AWS_REGION = "us-east-1",
    AWS_EC2_METADATA_DISABLED = "true",
    AWS_ACCESS_KEY_ID = "AKIASTARBURSTTESTKIT",
    AWS_SECRET_ACCESS_KEY = "starburst-testkit-secret-of-nobody"
  )
  with_s3(latency(name), function(address) {
    Sys.setenv(AWS_ENDPOINT_URL_S3 = address)
    run(address)
  })
}

chosen <- grep(given$only, names(workloads), value = TRUE)
backends <- if (nzchar(given$backends)) strsplit(given$backends, ";")[[1]] else all_backends
unknown <- setdiff(backends, all_backends)
if (length(unknown) > 0) {
  stop("no such backend: ", toString(unknown), "; there are ", toString(all_backends))
}
dir.create(given$out, showWarnings = FALSE, recursive = TRUE)
rows <- NULL
# What was measured before stays, but for what is measured anew now.
if (given$add == "yes") {
  rows <- utils::read.csv(file.path(given$out, "results.csv"))
  rows <- rows[!(rows$workload %in% chosen & rows$backend %in% backends), ]
}
for (round in seq_len(as.integer(given$rounds))) {
  for (work in chosen) {
    if (round > workloads[[work]]$rounds) {
      next
    }
    # Each round begins with another backend: what a machine does meanwhile hits all alike.
    order <- backends[(seq_along(backends) + round - 2) %% length(backends) + 1]
    for (name in setdiff(order, names(workloads[[work]]$without))) {
      row <- measure(work, name)
      rows <- rbind(rows, row)
      message(sprintf("round %d: %s, %s: %.2f s", round, work, name, if (is.null(row)) NA else row$seconds))
      write_report(rows, given$out)
    }
  }
}
# What batchtools leaves behind.
unlink(".future", recursive = TRUE)
