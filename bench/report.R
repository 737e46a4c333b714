# From measurements to a Markdown table of medians, ratios and spreads, and a plot.

write_report <- function(rows, folder) {
  utils::write.csv(rows, file.path(folder, "results.csv"), row.names = FALSE)
  writeLines(c(head_lines(), table_lines(rows)), file.path(folder, "results.md"))
  plot_ratios(rows, file.path(folder, "results.svg"))
}

head_lines <- function() {
  cpu <- sub(".*: ", "", grep("^model name", readLines("/proc/cpuinfo"), value = TRUE)[[1]])
  memory <- as.numeric(gsub("[^0-9]", "", readLines("/proc/meminfo")[[1]])) / 2^20
  c(
    "# The same work, side by side",
    "",
    sprintf(
      "%s; %d cores (%s), %.0f GB; R %s, future %s. Made by `bash bench/run.sh`; `bench/README.md` says how to read it.",
      format(Sys.Date()),
      parallel::detectCores(),
      cpu,
      memory,
      getRversion(),
      utils::packageVersion("future")
    ),
    ""
  )
}

table_lines <- function(rows) {
  lines <- character()
  for (work in intersect(names(workloads), rows$workload)) {
    some <- rows[rows$workload == work, ]
    lines <- c(
      lines,
      sprintf("## %s", workloads[[work]]$title),
      "",
      "| backend | median | least to most | of multisession | requests a task | MB in, out | client MB | worker MB | R MB |",
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    base <- stats::median(some$seconds[some$backend == "multisession"])
    for (name in intersect(all_backends, some$backend)) {
      lines <- c(lines, table_row(some[some$backend == name, ], name, base, workloads[[work]]$tasks))
    }
    without <- workloads[[work]]$without
    if (length(without)) {
      lines <- c(lines, "", sprintf("Not run on %s: %s.", names(without), without))
    }
    lines <- c(lines, "")
  }
  lines
}

table_row <- function(some, name, base, tasks) {
  middle <- stats::median(some$seconds)
  dash <- function(x, format) if (is.na(x)) "-" else sprintf(format, x)
  sprintf(
    "| %s | %.2f s | %.2f to %.2f | %s | %s | %s | %.0f | %s | %s |",
    name,
    middle,
    min(some$seconds),
    max(some$seconds),
    dash(middle / base, "%.2f"),
    dash(stats::median(some$requests) / tasks, "%.3f"),
    if (is.na(some$bytes_in[[1]])) {
      "-"
    } else {
      sprintf("%.1f, %.1f", stats::median(some$bytes_in) / 1e6, stats::median(some$bytes_out) / 1e6)
    },
    max(some$client),
    if (startsWith(name, "starburst")) sprintf("%.0f", max(some$worker)) else "-",
    # Workers that a shell started in the background are nobody's children, and are not seen.
    if (max(some$r) > 0) sprintf("%.0f", max(some$r)) else "-"
  )
}

# Seconds on a logarithmic axis, one line a workload.
plot_ratios <- function(rows, file) {
  medians <- stats::aggregate(seconds ~ workload + backend, rows, stats::median)
  works <- rev(unique(rows$workload))
  kinds <- intersect(all_backends, medians$backend)
  colours <- grDevices::hcl.colors(length(all_backends), "Dark 3")[match(kinds, all_backends)]
  grDevices::svg(file, width = 9, height = 1.5 + 0.4 * length(works))
  on.exit(grDevices::dev.off())
  graphics::par(mar = c(4, 19, 1, 1), las = 1)
  range <- range(medians$seconds)
  plot(
    range,
    c(0.5, length(works) + 0.5),
    type = "n",
    log = "x",
    yaxt = "n",
    ylab = "",
    xlab = "seconds, median"
  )
  graphics::axis(
    2,
    seq_along(works),
    vapply(works, function(work) workloads[[work]]$title, ""),
    cex.axis = 0.7
  )
  graphics::abline(h = seq_along(works), col = "grey90")
  at <- match(medians$workload, works)
  graphics::points(medians$seconds, at, pch = 19, col = colours[match(medians$backend, kinds)])
  graphics::legend("bottomright", kinds, pch = 19, col = colours, cex = 0.7, bg = "white")
}
