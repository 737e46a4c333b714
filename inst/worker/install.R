# Installs the packages of an environment into a folder: what starburst-worker runs where an environment is missing.
# Plain R. The folder that it is given holds the orders (packages.tsv, repositories.tsv, archives/), and gets the library,
# logs/, progress.tsv, and in the end either installed.tsv or a file named failure. See starburst-worker/src/environment/.
local({
  here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[[1]]))
  for (script in c("install-fetch.R", "install-run.R", "install-words.R")) {
    sys.source(file.path(here, script), envir = environment())
  }
  # A check of somebody's package limits the processes of that package. It is inherited, and not meant for these.
  Sys.unsetenv("_R_CHECK_LIMIT_CORES_")
  folder <- commandArgs(trailingOnly = TRUE)[[1]]
  at_once <- as.integer(commandArgs(trailingOnly = TRUE)[[2]])
  read_table <- function(name) {
    utils::read.delim(
      file.path(folder, name),
      quote = "",
      comment.char = "",
      colClasses = "character",
      na.strings = character(),
      encoding = "UTF-8"
    )
  }
  tell <- function(doing, done, total, package) {
    line <- paste(doing, done, total, package, sep = "\t")
    # One string is one write: whoever reads sees whole lines.
    cat(paste0(line, "\n"), file = file.path(folder, "progress.tsv"), append = TRUE)
  }
  # The first line says whether it is about a package, which others would find too, or about this machine.
  fail <- function(about, message) {
    writeLines(enc2utf8(c(about, message)), file.path(folder, "failure"), useBytes = TRUE)
    quit("no", status = 1)
  }
  packages <- read_table("packages.tsv")
  repositories <- read_table("repositories.tsv")$address
  library <- file.path(folder, "library")
  .libPaths(c(library, .libPaths()))

  new <- packages[packages$have == "no", ]
  new$file <- rep("", nrow(new))
  sources <- fetch_all(new, repositories, folder, tell)
  if (!is.null(sources$failure)) {
    fail(sources$about, sources$failure)
  }
  new$file <- sources$file
  failure <- install_all(new, library, file.path(folder, "logs"), at_once, tell)
  if (is.null(failure)) {
    failure <- check_all(packages$package, library, folder, here, tell)
  }
  if (!is.null(failure)) {
    fail("package", failure)
  }
  versions <- vapply(
    packages$package,
    function(package) read.dcf(file.path(library, package, "DESCRIPTION"), "Version")[[1]],
    ""
  )
  lines <- paste(packages$package, versions, sep = "\t", recycle0 = TRUE)
  writeLines(lines, file.path(folder, "installed.tsv"))
})
quit("no")
