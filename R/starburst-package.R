#' @useDynLib starburst, .registration = TRUE
#' @importFrom R6 R6Class
#' @importFrom rlang %||%
#' @importFrom future nbrOfFreeWorkers nbrOfWorkers resolved result run tweak
#' @noRd
NULL

# Everything the package remembers between calls. Each slot is named here.
the <- new.env(parent = emptyenv())
# Open plan() sessions: backend configuration hash -> fleet (see R/fleet.R).
the$fleets <- new.env(parent = emptyenv())
# The last arguments of a plan and the settings made of them.
the$plan_question <- NULL
the$plan_settings <- NULL
# The code around the expression of the last future, as it was and with its functions qualified (R/future-legacy.R).
the$code_around <- NULL
the$qualified_around <- NULL
# After this many tasks a plan or cluster on this machine goes on in a new session (R/fleet.R).
the$renew_after <- 100000
# Whether a task callback looks for plans that are over (R/future-legacy.R).
the$watching <- FALSE
# What was said of all workers (R/wait.R).
the$worker_warnings <- character()
# What DESCRIPTION files say, by path (R/environment-sources.R).
the$descriptions <- new.env(parent = emptyenv())
