# The R side of a worker: reads tasks from one pipe, evaluates them, answers on another.
# It needs base R and the package future, and nothing of the package starburst.
#
# The evaluator's functions live in an environment of their own below R's base: a global of a task that is named like a
# function of base R never covers that function here, and no task sees a name of the evaluator.
base::eval(
  base::quote({
    here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[[1]]))
    evaluator <- new.env(parent = baseenv())
    for (script in c("state.R", "evaluate.R", "pipe.R", "travel.R")) {
      sys.source(file.path(here, script), envir = evaluator)
    }
    # Packages that an image brings for bases without them: what the base has itself is found first.
    brought <- file.path(dirname(here), "library")
    if (dir.exists(brought)) {
      .libPaths(c(.libPaths(), brought))
    }
    args <- commandArgs(trailingOnly = TRUE)
    evaluator$prepare(suppressWarnings(as.numeric(args[[1]])), args[[2]])
    evaluator$serve(evaluator$open_pipe())
  }),
  envir = base::new.env(parent = base::baseenv())
)
base::quit("no")
