# Random number streams for tasks. The user's own random number state is never touched: streams are
# derived from it, and from a count of what was derived from the same state before.

check_seed <- function(seed, arg, call) {
  ok <- is.null(seed) ||
    (is.logical(seed) && length(seed) == 1L && !is.na(seed)) ||
    (is_number(seed) && seed == floor(seed) && abs(seed) <= .Machine$integer.max)
  if (!ok) {
    abort_input(arg, describe(seed), "TRUE, FALSE, NULL or a whole number", call)
  }
  if (isFALSE(seed)) NULL else seed
}

# `n` streams for `seed`; NULL for none.
make_streams <- function(seed, n) {
  if (is.null(seed)) {
    return(NULL)
  }
  stream <- first_stream(if (isTRUE(seed)) derived_seed() else as.integer(seed))
  streams <- vector("list", n)
  for (i in seq_len(n)) {
    streams[[i]] <- stream
    stream <- parallel::nextRNGStream(stream)
  }
  streams
}

derived_seed <- function() {
  state <- globalenv()$.Random.seed
  if (is.null(state)) {
    state <- list(Sys.time(), Sys.getpid())
  }
  if (!identical(state, the$seed_state)) {
    the$seed_state <- state
    the$seed_count <- 0L
  }
  the$seed_count <- the$seed_count + 1L
  strtoi(substr(rlang::hash(list(state, the$seed_count)), 1L, 7L), 16L)
}

first_stream <- function(seed) {
  env <- globalenv()
  before <- env$.Random.seed
  kind <- RNGkind()
  on.exit({
    if (is.null(before)) {
      suppressWarnings(RNGkind(kind[[1]], kind[[2]], kind[[3]]))
      rm(list = ".Random.seed", envir = env)
    } else {
      # The state says its kind itself.
      assign(".Random.seed", before, envir = env)
    }
  })
  RNGkind("L'Ecuyer-CMRG")
  set.seed(seed)
  env$.Random.seed
}
