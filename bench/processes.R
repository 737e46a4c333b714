# What processes used, as Linux tells it, and what the S3 of the tests counted.

peak_mb <- function(pid) {
  line <- grep("^VmHWM", strsplit(told(pid, "status"), "\n")[[1]], value = TRUE)
  if (length(line)) as.numeric(gsub("[^0-9]", "", line)) / 1024 else 0
}

own_peak <- function() c(client = peak_mb("self"))

# What a file of a process says, as one text; nothing when the process has gone.
told <- function(pid, name) {
  read <- function() readLines(file.path("/proc", pid, name), warn = FALSE, skipNul = TRUE)
  tryCatch(paste(read(), collapse = "\n"), error = function(e) "", warning = function(w) "")
}

# The processes that this one started, and those that they started; and workers of the package parallel, which belong to
# nobody: one measurement runs at a time.
descendants <- function() {
  pids <- grep("^[0-9]+$", list.files("/proc"), value = TRUE)
  parent <- vapply(
    pids,
    function(pid) {
      strsplit(sub("^.*\\) ", "", told(pid, "stat")), " ")[[1]][2]
    },
    ""
  )
  found <- character()
  level <- as.character(Sys.getpid())
  while (length(level)) {
    level <- pids[parent %in% level]
    found <- c(found, level)
  }
  of_parallel <- vapply(pids, function(pid) grepl(".workRSOCK", told(pid, "cmdline"), fixed = TRUE), NA)
  unique(c(found, pids[of_parallel]))
}

# The largest peak of a worker program, and of an R that evaluates tasks.
worker_peaks <- function() {
  pids <- descendants()
  command <- vapply(pids, function(pid) trimws(told(pid, "comm")), "")
  largest <- function(which) max(0, vapply(pids[which], peak_mb, 0))
  c(worker = largest(startsWith(command, "starburst-worke")), r = largest(command == "R"))
}

s3_counts <- function(address) {
  if (is.null(address)) {
    return(c(requests = NA, bytes_in = NA, bytes_out = NA, usd = NA))
  }
  connection <- url(paste0(address, "/-/counts"))
  on.exit(close(connection))
  pairs <- strsplit(readLines(connection), " ")
  counts <- stats::setNames(as.numeric(vapply(pairs, `[[`, "", 2)), vapply(pairs, `[[`, "", 1))
  counts[c("requests", "bytes_in", "bytes_out", "usd")]
}
