# Installs packages side by side, each once what it needs is there, and loads each of them once.

r_program <- function() file.path(R.home("bin"), "R")

# Starts the installation of one package; it leaves its exit status in a file.
start_install <- function(row, library, logs) {
  log <- file.path(logs, paste0(row$package, ".log"))
  status <- file.path(logs, paste0(row$package, ".status"))
  words <- c("CMD", "INSTALL", "--no-docs", "--no-test-load", "--pkglock", "--no-multiarch")
  words <- c(words, paste0("--library=", library), row$file)
  install <- paste(shQuote(c(r_program(), words)), collapse = " ")
  # The status is there at once or not at all.
  line <- sprintf(
    "%s > %s 2>&1 < /dev/null; echo $? > %s.part; mv %s.part %s",
    install,
    shQuote(log),
    shQuote(status),
    shQuote(status),
    shQuote(status)
  )
  system2("sh", c("-c", shQuote(line)), wait = FALSE)
  list(package = row$package, log = log, status = status)
}

# NULL, or why a package could not be installed. The first failure ends it.
install_all <- function(rows, library, logs, at_once, tell) {
  dir.create(logs, showWarnings = FALSE)
  needs <- strsplit(rows$dependencies, ", ", fixed = TRUE)
  names(needs) <- rows$package
  waiting <- rows$package
  running <- list()
  done <- character()
  while (length(waiting) + length(running) > 0L) {
    started <- vapply(running, `[[`, "", "package")
    # What is not among the rows is there already.
    open <- c(waiting, started)
    free <- Filter(function(package) !any(needs[[package]] %in% open), waiting)
    if (length(free) == 0L && length(running) == 0L) {
      # They need each other, which no order can satisfy; one that works without the other says so by working.
      free <- waiting[[1]]
    }
    for (package in utils::head(free, at_once - length(running))) {
      running[[package]] <- start_install(rows[rows$package == package, ], library, logs)
      waiting <- setdiff(waiting, package)
      tell("Installing", length(done), nrow(rows), package)
    }
    over <- Filter(function(one) file.exists(one$status), running)
    if (length(over) == 0L) {
      Sys.sleep(0.05)
    }
    for (one in over) {
      if (readLines(one$status, warn = FALSE) != "0") {
        return(failed_words(one$package, readLines(one$log, warn = FALSE)))
      }
      running[[one$package]] <- NULL
      done <- c(done, one$package)
    }
  }
  NULL
}

# NULL, or which package does not load. They load in an R of their own, since one may take it down.
check_all <- function(packages, library, folder, here, tell) {
  tell("Checking", 0L, length(packages), "")
  list <- file.path(folder, "check.txt")
  log <- file.path(folder, "logs", "check.log")
  writeLines(packages, list)
  words <- c("--vanilla", "--no-echo", paste0("--file=", file.path(here, "install-check.R")))
  words <- c(words, "--args", library, list)
  status <- system2(r_program(), shQuote(words), stdout = log, stderr = log, stdin = "/dev/null")
  if (identical(status, 0L)) {
    return(NULL)
  }
  lines <- readLines(log, warn = FALSE)
  begun <- grep("^loading ", lines, value = TRUE)
  package <- if (length(begun)) sub("^loading ", "", begun[[length(begun)]]) else packages[[1]]
  from <- max(c(1L, which(lines == paste("loading", package))))
  said <- lines[seq_along(lines) > from]
  failed_words(package, said, "is installed and does not load")
}
