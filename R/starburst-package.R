#' @keywords internal
#' @useDynLib starburst, .registration = TRUE
#' @importFrom future nbrOfFreeWorkers nbrOfWorkers resolved result run
"_PACKAGE"

# Everything the package remembers between calls. Each slot is named here.
the <- new.env(parent = emptyenv())
# Open plan() sessions: backend configuration hash -> fleet (see R/fleet.R).
the$fleets <- new.env(parent = emptyenv())
