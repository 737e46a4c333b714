# Unchanged code gives the same under plan(starburst) as under plan(multisession).

scenarios <- list(
  value = function() future::value(future::future(1 + 1)),
  null = function() future::value(future::future(NULL)),
  globals = function() {
    a <- 2
    g <- function(x) x + a
    future::value(future::future(g(40)))
  },
  dots = function() (function(...) future::value(future::future(sum(...))))(1, 2, 3),
  packages = function() future::value(future::future(tools::file_ext("a.b"))),
  stdout = function() {
    future::value(future::future({
      cat("one\n")
      print(2)
      3
    }))
  },
  conditions = function() {
    future::value(future::future({
      message("first")
      warning("second")
      message("third")
      4
    }))
  },
  output_then_error = function() {
    future::value(future::future({
      cat("before\n")
      message("said")
      stop("broken")
    }))
  },
  own_error = function() {
    future::value(future::future(
      stop(structure(class = c("my_error", "error", "condition"), list(message = "mine", call = NULL)))
    ))
  },
  error_call = function() {
    f <- function(x) stop("from f")
    future::value(future::future(f(1)))
  },
  invisible = function() future::value(future::future(invisible(5))),
  no_stdout = function() future::value(future::future(cat("not shown\n"), stdout = FALSE)),
  seed = function() {
    set.seed(42)
    future::value(future::future(rnorm(3), seed = TRUE))
  },
  fixed_seed = function() future::value(future::future(rnorm(3), seed = 7L)),
  rng_misuse = function() {
    v <- future::value(future::future(
      {
        rnorm(1)
        "drawn"
      },
      label = "draws"
    ))
    v
  },
  lazy = function() {
    f <- future::future(6, lazy = TRUE)
    future::value(f)
  },
  infix = function() {
    b <- 3
    v %<-%
      {
        b * 2
      }
    v
  },
  list_of_futures = function() {
    fs <- lapply(1:4, function(i) future::future(i^2))
    future::value(fs)
  },
  nested = function() {
    future::value(future::future({
      inner <- future::future(10)
      class(future::plan())[[1]]
      future::value(inner)
    }))
  },
  lapply = function() future.apply::future_lapply(1:5, function(i) i * 10),
  lapply_seed = function() future.apply::future_sapply(1:5, function(i) runif(1), future.seed = 1),
  lapply_chunks = function() {
    future.apply::future_lapply(
      1:5,
      function(i) {
        message("at ", i)
        i
      },
      future.chunk.size = 1
    )
  },
  lapply_error = function() {
    future.apply::future_lapply(1:3, function(i) {
      if (i == 2) {
        stop(structure(class = c("my_error", "error", "condition"), list(message = "two", call = NULL)))
      }
      i
    })
  },
  furrr = function() furrr::future_map(1:4, ~ .x + 1),
  furrr_seed = function() furrr::future_map_dbl(1:4, ~ runif(1), .options = furrr::furrr_options(seed = 3)),
  furrr_two = function() furrr::future_map2(1:3, 4:6, `+`)
)
`%<-%` <- future::`%<-%`

observe_all <- function() lapply(scenarios, observe)

test_that("values, output, conditions, seeds and errors are those of plan(multisession)", {
  skip_if_not_installed("furrr")
  skip_if_not_installed("future.apply")
  local_plan(future::multisession, workers = 2)
  expected <- observe_all()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  actual <- observe_all()
  for (name in names(scenarios)) {
    expect_equal(actual[[name]], expected[[name]], label = name)
  }
})

test_that("progress arrives while tasks run, as many steps as under multisession", {
  skip_if_not_installed("progressr")
  withr::local_options(progressr.enable = TRUE)
  steps <- function() {
    at <- NULL
    # An object store is looked at less often than a directory.
    pause <- if (is.null(s3_server())) 0.3 else 1.5
    withCallingHandlers(
      {
        p <- progressr::progressor(3)
        f <- future::future({
          for (i in 1:3) {
            p()
            Sys.sleep(pause)
          }
          "done"
        })
        value <- future::value(f)
      },
      progression = function(cnd) if (cnd$type == "update") at <<- c(at, as.numeric(Sys.time()))
    )
    list(value = value, seen = length(at), ahead = as.numeric(Sys.time()) - at[[1]])
  }
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  ours <- steps()
  local_plan(future::multisession, workers = 2)
  theirs <- steps()
  expect_identical(ours[c("value", "seen")], theirs[c("value", "seen")])
  # The first step was here well before the value was.
  expect_gt(ours$ahead, 0.5)
})

test_that("promises resolve to values and errors", {
  skip_if_not_installed("promises")
  skip_if_not_installed("fastmap")
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  got <- NULL
  failed <- NULL
  promises::then(promises::future_promise(1 + 2), function(v) got <<- v)
  promises::catch(promises::future_promise(stop("no")), function(e) failed <<- conditionMessage(e))
  wait_for(function() {
    later::run_now(0.05)
    !is.null(got) && !is.null(failed)
  })
  expect_identical(got, 3)
  expect_match(failed, "^no")
})

test_that("futures of a loop share their expression, and each has globals, conditions and a fate of its own", {
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  make <- function(i) {
    future::future({
      if (i == 20L) {
        tools::pskill(Sys.getpid(), 9)
      }
      if (i == 25L) stop("number ", i) else i
    })
  }
  fs <- lapply(1:30, make)
  # Before future 1.40; later versions have each future's globals in its expression.
  fleet <- starburst:::fleet_of(fs[[30]])
  expect_identical(!is.null(fleet$alike$shared), !starburst:::has_backend_api())
  expect_error(future::value(fs[[20]]), class = "FutureInterruptError")
  expect_error(future::value(fs[[25]]), "number 25", fixed = TRUE)
  expect_identical(lapply(fs[-c(20, 25)], future::value), as.list(setdiff(1:30, c(20L, 25L))))
  # Another session does not have what this one shared.
  starburst:::fleet_stop(fleet)
  expect_identical(future::value(make(1L)), 1L)
  expect_null(fleet$alike$shared)
})

test_that("expressions that look alike are told apart", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  x <- c(rep(0, 20), -0, 0, NA, NaN)
  fs <- lapply(x, function(x) future::future(bquote(list(1 / .(x), .(x))), substitute = FALSE))
  expect_identical(lapply(fs, future::value), lapply(x, function(x) list(1 / x, x)))
})

test_that("resolved() waits for no future, and nbrOfWorkers() says what was asked for", {
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  expect_equal(future::nbrOfWorkers(), 2)
  expect_equal(future::nbrOfFreeWorkers(), 2)
  marker <- tempfile()
  fs <- lapply(1:5, function(i) {
    future::future({
      while (!file.exists(marker)) {
        Sys.sleep(0.02)
      }
      i
    })
  })
  expect_false(any(vapply(fs, future::resolved, NA)))
  expect_equal(future::nbrOfFreeWorkers(), 0)
  file.create(marker)
  expect_equal(lapply(fs, future::value), as.list(1:5))
  expect_equal(future::nbrOfFreeWorkers(), 2)
})

test_that("whoever asks again and again does so every 10 ms, however many futures there are, and sees each end", {
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  marker <- tempfile()
  fs <- lapply(1:20, function(i) {
    future::future({
      while (!file.exists(marker)) {
        Sys.sleep(0.02)
      }
      i
    })
  })
  fleet <- starburst:::fleet_of(fs[[1]])
  any_left <- function() !all(vapply(fs, future::resolved, NA))
  # The first question after each future waits for nothing.
  before <- fleet$round
  for (f in fs) {
    future::resolved(f)
  }
  expect_identical(fleet$round, before)
  start <- proc.time()[["elapsed"]]
  rounds <- 0
  while (rounds < 200) {
    any_left()
    rounds <- rounds + 1
  }
  # Rounds are shorter when a task begins.
  expect_gt(proc.time()[["elapsed"]] - start, 1.5)
  # A future of a list that is asked alone makes rounds too.
  before <- fleet$round
  replicate(5, future::resolved(fs[[20]]))
  expect_identical(fleet$round, before + 5)
  file.create(marker)
  wait_for(function() !any_left())
  expect_identical(lapply(fs, future::value), as.list(1:20))
})

test_that("a task's cores are those of its plan", {
  local_plan(starburst, workers = 1, cpu = 2, launch_type = "LOCAL")
  expect_equal(unname(future::value(future::future(parallelly::availableCores()))), 2)
})

test_that("the caller's frame does not travel", {
  store <- local_store()
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  if (!is.null(s3_server())) {
    ask_s3("reset-counts")
  }
  unrelated <- rnorm(1e6)
  y <- 1
  f <- future::future(y + 1)
  expect_identical(future::value(f), 2)
  expect_gt(store_bytes(store), 1e3)
  expect_lt(store_bytes(store), 1e6)
})

test_that("a plan can be left and come back to", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  expect_identical(future::value(future::future("a")), "a")
  old <- future::plan(future::sequential)
  expect_identical(future::value(future::future("b")), "b")
  future::plan(old)
  expect_identical(future::value(future::future("c")), "c")
})

test_that("printing a plan works", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  expect_output(print(future::plan()), "starburst")
})

test_that("references that cannot travel are detected when asked for", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  withr::local_options(future.globals.onReference = "error")
  con <- rawConnection(raw(0))
  withr::defer(close(con))
  expect_error(future::value(future::future(summary(con))), "non-exportable|reference")
})

test_that("cancel() stops a running task at once, and the worker goes on", {
  skip_if_not(starburst:::has_backend_api(), "future before 1.40 has no cancel()")
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  marker <- tempfile()
  f <- future::future({
    file.create(marker)
    Sys.sleep(600)
  })
  wait_for(function() file.exists(marker))
  future::cancel(f)
  expect_error(future::value(f), class = "FutureInterruptError")
  expect_identical(future::value(future::future("next")), "next")
  again <- future::reset(f)
  future::cancel(again)
})

test_that("changing the plan ends what runs and says so", {
  skip_if_not(starburst:::has_backend_api(), "future before 1.40 does not say when the plan changes")
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  f <- future::future(Sys.sleep(600))
  session <- fleet_session()
  wait_for(function() length(worker_pids(session)) == 1)
  future::plan(future::sequential)
  wait_for(function() length(worker_pids(session)) == 0)
  expect_error(future::value(f), class = "FutureInterruptError")
})

test_that("futures that have ended keep their values when the plan changes", {
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  fs <- lapply(1:4, function(i) future::future(i))
  wait_for(function() all(vapply(fs, future::resolved, NA)))
  future::plan(future::sequential)
  stop_fleets()
  expect_identical(lapply(fs, future::value), as.list(1:4))
})

test_that("a future that cannot be launched says why, with our class and future's", {
  skip_on_s3("it is about directories")
  file <- withr::local_tempfile(lines = "not a directory")
  withr::local_options(starburst.store = file.path(file, "store"))
  local_plan(starburst, workers = 1, memory = 9, launch_type = "LOCAL")
  expect_error(future::value(future::future(1)), class = "FutureLaunchError")
})

test_that("a forked child has workers of its own", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  future::value(future::future(1))
  child <- parallel::mcparallel({
    v <- future::value(future::future("from the child"))
    stop_fleets()
    v
  })
  expect_identical(parallel::mccollect(child)[[1]], "from the child")
})

test_that("a plan that is changed again keeps its other arguments", {
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL", cpu = 1)
  current <- future::plan()
  future::plan(current, workers = 1)
  expect_identical(as.numeric(future::nbrOfWorkers()), 1)
  expect_identical(future::value(future::future(1 + 1)), 2)
  twice <- future::tweak(future::tweak(starburst, launch_type = "LOCAL"), workers = 3)
  future::plan(twice)
  expect_identical(as.numeric(future::nbrOfWorkers()), 3)
})

test_that("what was read of a plan on this machine does not stay on its disk, and shared values stay right", {
  skip_on_s3("deleting is not free there")
  store <- local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  shared <- stats::runif(3e4)
  kept <- function() store_bytes(store, "/(results|blobs)/") / 1e6
  for (i in 1:60) {
    value <- future::value(future::future(c(i, shared[-1])))
    # The same value again and again, the global itself, and one of its own, in turn.
    same <- future::value(future::future(shared * 2))
    whole <- future::value(future::future(shared))
    expect_identical(list(value, same, whole), list(c(i, shared[-1]), shared * 2, shared))
  }
  # 180 values of 0.24 MB were read, 43 MB in all.
  expect_lt(kept(), 20)
  many <- future.apply::future_lapply(1:40, function(i) c(i, shared))
  expect_identical(many, lapply(1:40, function(i) c(i, shared)))
  wait_for(function() {
    identical(future::value(future::future(shared[1:2])), shared[1:2]) && kept() < 20
  })
})

test_that("a plan on this machine goes on in a new session after many tasks, and leaves nothing of the old one", {
  store <- local_store()
  the <- starburst:::the
  before <- the$renew_after
  the$renew_after <- 20
  withr::defer(the$renew_after <- before)
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  values <- NULL
  sessions <- character()
  for (round in 1:6) {
    futures <- lapply(1:10, function(i) future::future(i + round))
    values <- c(values, lapply(futures, future::value))
    sessions <- c(sessions, store_sessions(store))
  }
  expect_identical(values, as.list(outer(1:10, 1:6, `+`)))
  # One at a time, and each for two rounds.
  expect_length(sessions, 6)
  expect_length(unique(sessions), 3)
  # With a future that was not read, the session stays.
  kept <- future::future("unread")
  last <- store_sessions(store)
  more <- lapply(1:30, function(i) future::value(future::future(i)))
  expect_identical(store_sessions(store), last)
  expect_identical(future::value(kept), "unread")
})
