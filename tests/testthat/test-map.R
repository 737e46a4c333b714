map <- function(...) starburst_map(..., workers = 2, launch_type = "LOCAL")

test_that("values come back in order, with names and NULL kept", {
  x <- c(a = 1, b = 2, c = 3)
  expect_identical(map(x, function(v) if (v != 2) v * 10), list(a = 10, b = NULL, c = 30))
  expect_identical(map(list(), identity), list())
  expect_identical(map(list(1, NULL, "a"), identity), list(1, NULL, "a"))
})

test_that("extra arguments, formulas, names, globals and packages reach the function", {
  k <- 5
  helper <- function(v) v + k
  expect_identical(map(1:2, function(v, by) helper(v) * by, by = 2), list(12, 14))
  expect_identical(map(1:2, ~ .x + k), list(6, 7))
  expect_identical(map(c(1, 4), "sqrt"), list(1, 2))
  expect_identical(map("a.txt", function(v) file_ext(v), .packages = "tools"), list("txt"))
  # Arguments reach it as they are, code and names of its own among them.
  expect_identical(
    map(1:2, function(v, fun, x) list(v, fun, x), fun = quote(a + b), x = as.name("y")),
    list(list(1L, quote(a + b), as.name("y")), list(2L, quote(a + b), as.name("y")))
  )
})

test_that("what elements print, say and warn is shown in their order", {
  run <- function() {
    map(1:3, function(i) {
      cat("out", i, "\n")
      message("said ", i)
      if (i == 2) {
        warning("warned ", i)
      }
      i
    })
  }
  said <- character()
  out <- capture.output(withCallingHandlers(
    values <- run(),
    message = function(m) {
      said <<- c(said, conditionMessage(m))
      invokeRestart("muffleMessage")
    },
    warning = function(w) {
      said <<- c(said, conditionMessage(w))
      invokeRestart("muffleWarning")
    }
  ))
  expect_identical(values, list(1L, 2L, 3L))
  expect_identical(out, c("out 1 ", "out 2 ", "out 3 "))
  expect_identical(said, c("said 1\n", "said 2\n", "warned 2", "said 3\n"))
})

test_that("an element is heard as soon as it and all before it have ended", {
  heard <- withr::local_tempfile()
  values <- withCallingHandlers(
    map(1:3, function(i) {
      if (i == 3) {
        until <- Sys.time() + 60
        while (!file.exists(heard) && Sys.time() < until) {
          Sys.sleep(0.01)
        }
        return(file.exists(heard))
      }
      message("said ", i)
      i
    }),
    message = function(m) {
      if (grepl("said 2", conditionMessage(m))) {
        file.create(heard)
      }
      tryInvokeRestart("muffleMessage")
    }
  )
  expect_identical(values, list(1L, 2L, TRUE))
})

test_that("a value that cannot be had while others run is had in the end", {
  refused <- withr::local_tempfile()
  refuse <- function() {
    if (!file.exists(refused)) {
      file.create(refused)
      rlang::abort("no answer", class = "starburst_error")
    }
  }
  there <- asNamespace("starburst")
  suppressMessages(trace("rs_fetch", tracer = as.call(list(refuse)), where = there, print = FALSE))
  withr::defer(suppressMessages(untrace("rs_fetch", where = there)))
  values <- map(1:3, function(i) {
    until <- Sys.time() + 60
    while (i == 3 && !file.exists(refused) && Sys.time() < until) {
      Sys.sleep(0.01)
    }
    file.exists(refused) || i < 3
  })
  expect_identical(values, list(TRUE, TRUE, TRUE))
})

test_that("what one element does about its output changes nothing for the next", {
  run <- function() {
    starburst_map(
      1:6,
      function(i) {
        if (i %% 3 == 1) {
          while (sink.number() > 0) {
            sink()
          }
        }
        if (i %% 3 == 2) {
          sink(tempfile())
        }
        cat("element", i, "\n")
        sink.number()
      },
      workers = 1,
      launch_type = "LOCAL"
    )
  }
  out <- capture.output(values <- run())
  expect_identical(unlist(values), rep(c(0L, 2L, 1L), 2))
  expect_identical(out, c("element 3 ", "element 6 "))
})

test_that("of many quick elements the one that ends R is known, and no other runs twice", {
  ran <- tempfile("ran")
  dir.create(ran)
  values <- starburst_map(
    1:600,
    function(i) {
      cat("x", file = file.path(ran, i), append = TRUE)
      if (i == 450) {
        quit("no")
      }
      i
    },
    workers = 1,
    launch_type = "LOCAL",
    .on_error = "collect"
  )
  expect_s3_class(values[[450]], "starburst_error_worker_lost")
  expect_identical(unlist(values[-450]), (1:600)[-450])
  times <- file.size(file.path(ran, 1:600))
  expect_identical(times, replace(rep(1, 600), 450, 3))
})

test_that("a task that does not come to an end is joined by an idle worker, where that is asked for", {
  withr::local_options(starburst.backup_tasks = TRUE)
  begun <- withr::local_tempfile()
  values <- map(1:2, function(i) {
    # Only the first worker that comes to it is caught for ever.
    if (i == 1 && dir.create(begun, showWarnings = FALSE)) {
      Sys.sleep(1e6)
    }
    i
  })
  expect_identical(values, list(1L, 2L))
  withr::local_options(starburst.backup_tasks = "yes")
  expect_error(map(1:2, identity), class = "starburst_error_invalid_input")
})

test_that("an error keeps its class and the other values", {
  f <- function(i) {
    if (i == 2) {
      stop(structure(class = c("odd_error", "error", "condition"), list(message = "odd", call = NULL)))
    }
    i
  }
  cnd <- expect_error(map(1:3, f), class = "odd_error")
  expect_s3_class(cnd, "starburst_error_task_failed")
  expect_match(conditionMessage(cnd), "element 2 failed: odd")
  expect_s3_class(cnd$parent, "odd_error")
  rest <- cnd$last_results()
  expect_identical(rest[c(1, 3)], list(1L, 3L))
  collected <- map(1:3, f, .on_error = "collect")
  expect_true(collected[[2]]$error)
  expect_identical(collected[[3]], 3L)
})

test_that("the calls that led to an error are kept with it, and no others", {
  left <- map(
    1,
    function(x) {
      inner <- function(y) stop("bad ", y)
      inner(x)
    },
    .on_error = "collect"
  )[[1]]
  expect_identical(left$task_calls, c(".f(.x)", "inner(x)", "stop(\"bad \", y)"))
  expect_identical(conditionCall(left), quote(inner(x)))
})

test_that("set.seed() repeats maps, which draw one number from the user's stream, whatever works on them", {
  local_store()
  draws <- function(draw) {
    set.seed(1)
    list(draw(), draw(), stats::runif(1))
  }
  f <- function(i) c(stats::runif(1), stats::rnorm(1), sample(100L, 1L))
  withr::local_preserve_seed()
  one <- starburst_cluster(workers = 1, launch_type = "LOCAL")
  three <- starburst_cluster(workers = 3, launch_type = "LOCAL")
  withr::defer({
    one$shutdown()
    three$shutdown()
  })
  session <- local_session(workers = 2)
  of_session <- function() unname(session$collect(session$map(1:4, f), wait = TRUE, timeout = 60))
  first <- draws(function() one$map(1:4, f))
  expect_identical(draws(function() three$map(1:4, f)), first)
  expect_identical(draws(function() map(1:4, f)), first)
  expect_identical(draws(of_session), first)
  # The order of the work, and how many elements there are, change nothing.
  expect_identical(draws(function() rev(one$map(4:1, function(i, f) f(i), f = f))[4:1]), first)
  expect_identical(draws(function() one$map(1:9, f)[1:4]), first)
  expect_length(unique(unlist(first[1:2])), 24)
  # One number was drawn for each map, as sample.int() draws it.
  set.seed(1)
  invisible(c(sample.int(.Machine$integer.max, 1L), sample.int(.Machine$integer.max, 1L)))
  expect_identical(stats::runif(1), first[[3]])
})

test_that("streams do not depend on the kinds of generators, and a number or FALSE touches no stream", {
  withr::local_preserve_seed()
  draw <- function(...) map(1:2, function(i) c(RNGkind(), stats::rnorm(1)), ...)
  set.seed(1)
  before <- .Random.seed
  fixed <- draw(.seed = 7)
  draw(.seed = FALSE)
  expect_identical(.Random.seed, before)
  suppressWarnings(RNGkind("Wichmann-Hill", "Box-Muller", "Rounding"))
  expect_identical(draw(.seed = 7), fixed)
  expect_identical(fixed[[1]][1:3], c("L'Ecuyer-CMRG", "Inversion", "Rejection"))
  expect_identical(RNGkind(), c("Wichmann-Hill", "Box-Muller", "Rounding"))
})

test_that("what an element leaves in the global environment does not reach the next, with a seed or without", {
  local_store()
  session <- local_session(workers = 1)
  leave <- function(i) {
    there <- ls(globalenv(), all.names = TRUE)
    if (i == 2) {
      # Nothing but one variable is left then, as with a seed alone.
      rm(".Random.seed", envir = globalenv())
    }
    if (i %in% 2:3) {
      assign("left", i, envir = globalenv())
    }
    there
  }
  seeded <- session$map(1:5, leave, .seed = 1)
  expect_identical(unname(session$collect(ids = seeded, wait = TRUE)), rep(list(".Random.seed"), 5))
  other <- session$map(c(1, 1, 1), leave, .seed = FALSE)
  expect_identical(unname(session$collect(ids = other, wait = TRUE)), rep(list(character()), 3))
  again <- session$map(c(1, 1), leave, .seed = 1)
  call <- session$submit(quote(ls(globalenv(), all.names = TRUE)), seed = FALSE)
  expect_identical(session$collect(ids = call, wait = TRUE)[[1]], character())
})

test_that("a cluster keeps its workers between maps and does not touch the plan", {
  before <- future::plan("list")
  cluster <- starburst_cluster(workers = 1, launch_type = "LOCAL")
  withr::defer(cluster$shutdown())
  pid <- function() cluster$map(1, function(i) Sys.getpid())[[1]]
  expect_identical(pid(), pid())
  expect_identical(future::plan("list"), before)
  expect_identical(cluster$estimate_cost(3600), 0)
  expect_identical(cluster$map(c(a = 1)[0], identity), rlang::set_names(list(), character()))
  expect_identical(cluster$status()$completed, 2)
  expect_output(print(cluster), "up to 1 workers \\(LOCAL, 4 vCPU, 8 GB\\)")
  cluster$shutdown()
  expect_error(pid(), class = "starburst_error_closed")
})

test_that("two clusters and a plan at once do not disturb each other", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  a <- starburst_cluster(workers = 1, launch_type = "LOCAL")
  b <- starburst_cluster(workers = 1, launch_type = "LOCAL")
  withr::defer(b$shutdown())
  f <- future::future("plan")
  expect_identical(a$map(1:2, function(i) "a"), list("a", "a"))
  a$shutdown()
  expect_identical(b$map(1:2, function(i) "b"), list("b", "b"))
  expect_identical(future::value(f), "plan")
})

test_that("the function travels once, however many elements there are", {
  store <- local_store()
  if (!is.null(s3_server())) {
    ask_s3("reset-counts")
  }
  table <- rnorm(2e5)
  cluster <- starburst_cluster(workers = 2, launch_type = "LOCAL")
  withr::defer(cluster$shutdown())
  cluster$map(1:500, function(i) table[[i]])
  # The table's 1.6 MB once, and segments, ledgers and heartbeats.
  once <- length(serialize(table, NULL))
  expect_lt(store_bytes(store), 1.7 * once)
})
