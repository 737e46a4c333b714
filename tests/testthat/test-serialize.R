# Everything that serialize() carries arrives the same.

values <- function() {
  shared <- new.env()
  shared$n <- 1
  methods::setClass("starburstPoint", representation(x = "numeric"))
  latin1 <- "fa\xE7ile"
  Encoding(latin1) <- "latin1"
  bytes <- "\xff\xfe"
  Encoding(bytes) <- "bytes"
  list(
    null = NULL,
    empty = list(),
    zero = integer(),
    logical = c(TRUE, NA, FALSE),
    doubles = c(1.5, NA, NaN, Inf, -0),
    integers = c(1L, NA),
    complex = 1i,
    raw = as.raw(0:255),
    utf8 = "na\u00efve \U0001F600",
    latin1 = latin1,
    bytes = bytes,
    na = NA_character_,
    altrep = 1:1e7,
    deferred = as.character(1:1e4),
    factor = factor(c("a", "b")),
    frame = datasets::mtcars,
    date = as.POSIXct(0, origin = "1970-01-01", tz = "UTC"),
    language = quote(f(x)),
    formula = stats::as.formula("y ~ x", env = globalenv()),
    builtin = sum,
    missing = formals(function(x) x),
    s4 = methods::new("starburstPoint", x = 1),
    attributes = structure(1, odd = "yes"),
    big = rnorm(3e5)
  )
}

test_that("values there and back are identical", {
  for (name in names(values())) {
    value <- values()[[name]]
    expect_identical(starburst:::rs_round_trip(list(value))[[1]], value, label = name)
  }
})

test_that("strings of all lengths survive, wherever buffers and chunks end", {
  set.seed(1)
  letters_of <- paste(sample(letters, 40, TRUE), collapse = "")
  value <- substring(letters_of, 1, sample(0:40, 4e5, TRUE))
  expect_identical(starburst:::rs_round_trip(list(value))[[1]], value)
})

test_that("encodings survive", {
  back <- starburst:::rs_round_trip(values()[c("utf8", "latin1", "bytes")])
  expect_identical(unname(vapply(back, Encoding, "")), c("UTF-8", "latin1", "bytes"))
})

test_that("environments keep what they share, closures their frames, R6 objects their methods", {
  counter <- local({
    n <- 0
    list(add = function() n <<- n + 1, get = function() n)
  })
  back <- starburst:::rs_round_trip(counter)
  back$add()
  expect_identical(back$get(), 1)
  expect_identical(counter$get(), 0)
  stack <- R6::R6Class(
    "Stack",
    public = list(items = NULL, push = function(x) {
      self$items <- c(self$items, x)
      invisible(self)
    })
  )$new()
  expect_identical(starburst:::rs_round_trip(stack)$push(3)$items, 3)
  env <- globalenv()
  expect_identical(starburst:::rs_round_trip(env), env)
})

test_that("values there and back through a worker are identical", {
  local_store()
  session <- local_session(workers = 1)
  sent <- values()
  id <- session$submit(identity(sent))
  expect_identical(session$result(id), sent)
})

test_that("large and small values keep their places", {
  local_store()
  sent <- list(rnorm(1e5), 1, rnorm(2e4), "a", rnorm(3e6), NULL, rnorm(9e3), rnorm(1e5))
  expect_identical(starburst_map(sent, identity, workers = 1, launch_type = "LOCAL"), sent)
})

test_that("a large value that the store does not take is an error, and the session goes on", {
  skip_on_s3("it is about directories")
  local_store()
  session <- local_session(workers = 1)
  blobs <- file.path(getOption("starburst.store"), "sessions", session$id, "blobs")
  file.create(blobs)
  # More than may be on the way.
  expect_error(
    session$submit(quote(length(big)), globals = list(big = rnorm(2e7))),
    class = "starburst_error"
  )
  unlink(blobs)
  big <- rnorm(1e6)
  expect_identical(session$result(session$submit(identity(big))), big)
})

test_that("a vector of more than 2^31 bytes travels", {
  turns <- Sys.getenv("STARBURST_LARGE")
  skip_if(turns == "", "needs 12 GB of memory; STARBURST_LARGE names a folder where tests that do take turns")
  turn <- file.path(turns, "large")
  wait_for(function() dir.create(turn, showWarnings = FALSE), 900)
  withr::defer(unlink(turn, recursive = TRUE))
  long <- numeric(2^28 + 10)
  long[length(long)] <- 7
  expect_true(identical(starburst:::rs_round_trip(long), long))
  local_store()
  session <- local_session(workers = 1)
  id <- session$submit({
    long[[1]] <- 3
    long
  })
  back <- session$result(id)
  expect_identical(length(back), length(long))
  expect_identical(back[c(1, 2, length(back))], c(3, 0, 7))
  skip_if_not(file.exists("/proc/self/status"), "peaks of memory are read from /proc")
  # Neither of the two was in the worker binary whole.
  expect_lt(peak_memory(worker_pids(session$id)), 400)
})

test_that("a promise in a stream is refused and does not run", {
  # A list of one promise: flags with a mark for its environment, the global environment, no value yet, the code.
  header <- serialize(list(NULL), NULL, version = 2)[1:22]
  code <- serialize(quote(assign("sb_ran", TRUE, envir = globalenv())), NULL, version = 2)[-(1:14)]
  mark <- function(type) as.raw(c(0L, 0L, type %/% 256L, type %% 256L))
  withr::defer(suppressWarnings(rm("sb_ran", envir = globalenv())))
  forged <- unserialize(c(header, mark(5L + 1024L), mark(253L), mark(252L), code))
  for (value in list(forged, list(value = forged))) {
    refused <- starburst:::rs_round_trip(value)
    expect_s3_class(refused, "extendr_error")
    expect_match(refused$value$message, "promise")
  }
  expect_false(exists("sb_ran", envir = globalenv()))
})
