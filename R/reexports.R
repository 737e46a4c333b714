# With plan() and its way back to this R, library(starburst) alone is enough for code of furrr and others that bring future
# with them.

#' @importFrom future plan
#' @export
future::plan

#' @importFrom future sequential
#' @export
future::sequential
