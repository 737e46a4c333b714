#' What there is
#'
#' The stacks that are known, and the sessions of the store in use.
#'
#' @returns A list of class `StarburstStatus`: `stacks` (a data frame: `stack`,
#'   `region`, `profile`), `sessions` (as [starburst_list_sessions()] returns).
#' @section Conditions:
#' Those of [starburst_list_sessions()].
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' starburst_status()
#' options(old)
#' @export
starburst_status <- function() {
  call <- rlang::current_env()
  stacks <- read_config(call)$stacks
  # Workers that run on AWS belong here too, once sessions there can be asked.
  structure(
    list(stacks = stacks_frame(stacks), sessions = starburst_list_sessions()),
    class = "StarburstStatus"
  )
}

#' @export
print.StarburstStatus <- function(x, ...) {
  if (nrow(x$stacks)) {
    cat(sprintf("Stack %s in %s\n", x$stacks$stack, x$stacks$region), sep = "")
  } else {
    cat("Not set up on AWS: `starburst_setup()` does it\n")
  }
  open <- x$sessions[x$sessions$state == "open", ]
  cat(
    sprintf(
      "Sessions: %s open, %s over; tasks: %s running, %s waiting\n",
      fmt(nrow(open)),
      fmt(nrow(x$sessions) - nrow(open)),
      fmt(sum(open$running)),
      fmt(sum(open$pending))
    )
  )
  invisible(x)
}
