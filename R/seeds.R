# Random number streams for tasks, as future.apply and furrr make them: `seed = TRUE` draws one number from the user's own
# stream, which goes on from there, and all streams follow from that number. So `set.seed()` before a call repeats it.

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
  stream <- first_stream(if (isTRUE(seed)) draw_seed() else as.integer(seed))
  streams <- vector("list", n)
  for (i in seq_len(n)) {
    streams[[i]] <- stream
    stream <- parallel::nextRNGStream(stream)
  }
  streams
}

# One number of the user's stream. An R without a stream begins one, as for any random number.
draw_seed <- function() sample.int(.Machine$integer.max, 1L)

# The stream of L'Ecuyer's generator that a number begins. It does not depend on the kinds of generators that the user
# chose, and leaves the user's stream alone.
first_stream <- function(seed) {
  # Drawn from the user's stream before that is put aside.
  force(seed)
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
  RNGkind("L'Ecuyer-CMRG", "default", "default")
  set.seed(seed)
  env$.Random.seed
}
