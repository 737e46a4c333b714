# Loads each package of a library, and says which is next, so that one that takes R down is known.
local({
  args <- commandArgs(trailingOnly = TRUE)
  .libPaths(c(args[[1]], .libPaths()))
  for (package in readLines(args[[2]])) {
    cat("loading ", package, "\n", sep = "")
    tryCatch(
      suppressPackageStartupMessages(loadNamespace(package, lib.loc = c(args[[1]], .libPaths()))),
      error = function(cnd) {
        cat(conditionMessage(cnd), "\n", sep = "")
        quit("no", status = 1)
      }
    )
  }
})
