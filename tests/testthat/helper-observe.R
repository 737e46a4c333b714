# The outcome of a piece of code: value, printed text, conditions in order with their classes, visibility, error.
observe <- function(code) {
  said <- character()
  visible <- NULL
  note <- function(cnd) {
    # Newer versions of future add which future and which process it was.
    said <<- c(said, paste0(toString(class(cnd)), ": ", sub(" ?\\[future .*", "", conditionMessage(cnd))))
  }
  out <- utils::capture.output(
    value <- tryCatch(
      withCallingHandlers(
        {
          v <- withVisible(code())
          visible <- v$visible
          v$value
        },
        message = function(cnd) {
          note(cnd)
          invokeRestart("muffleMessage")
        },
        warning = function(cnd) {
          note(cnd)
          invokeRestart("muffleWarning")
        }
      ),
      error = function(cnd) {
        # Newer versions of future add which future and which process it was.
        message <- sub(" \\[future .*", "", conditionMessage(cnd))
        call <- deparse(conditionCall(cnd), nlines = 1L)
        # Calls of the framework's own differ from backend to backend; the user's do not.
        list(classes = class(cnd), message = message, call = call[grepl("^f\\(", call)])
      }
    )
  )
  list(value = value, out = out, said = said, visible = visible)
}

# Each case in groups of cases gives the same on plan(starburst) and on plan(multisession). All run on one plan and then on
# the other, which start their workers once.
expect_conformance <- function(groups) {
  local_store()
  observe_groups <- function() lapply(groups, function(cases) lapply(cases, observe))
  local_plan(future::multisession, workers = 2)
  theirs <- observe_groups()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  ours <- observe_groups()
  for (group in names(groups)) {
    for (case in names(groups[[group]])) {
      expect_equal(ours[[group]][[case]], theirs[[group]][[case]], label = paste(group, case))
    }
  }
}

# The error or the value of code, so that a case may go on after an error.
outcome <- function(code) {
  tryCatch(code, error = function(cnd) {
    list(class(cnd), sub(" ?\\[future .*", "", conditionMessage(cnd)))
  })
}
