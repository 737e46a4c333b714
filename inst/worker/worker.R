# The R side of a worker: reads tasks from one pipe, evaluates them, answers on another.
# It needs base R and the package future, and nothing of the package starburst.
local({
  here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[[1]]))
  for (script in c("evaluate.R", "pipe.R", "travel.R")) {
    sys.source(file.path(here, script), envir = environment())
  }
  # Packages that an image brings for bases without them: what the base has itself is found first.
  brought <- file.path(dirname(here), "library")
  if (dir.exists(brought)) {
    .libPaths(c(.libPaths(), brought))
  }
  args <- commandArgs(trailingOnly = TRUE)
  prepare(suppressWarnings(as.numeric(args[[1]])), args[[2]])
  pipe <- open_pipe()
  serve(pipe)
})
quit("no")
