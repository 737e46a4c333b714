# Promises of the documentation of future about the life of futures, several and nested ones: each case gives the same on
# plan(starburst) and on plan(multisession).

future <- future::future
value <- future::value
resolved <- future::resolved
`%<-%` <- future::`%<-%`
`%seed%` <- future::`%seed%`
`%globals%` <- future::`%globals%`
`%packages%` <- future::`%packages%`
`%stdout%` <- future::`%stdout%`
`%conditions%` <- future::`%conditions%`
`%lazy%` <- future::`%lazy%`
`%label%` <- future::`%label%`

cases_life <- list(
  lazy = function() {
    marker <- tempfile()
    f <- future(file.create(marker), lazy = TRUE)
    before <- file.exists(marker)
    c(before, value(f), file.exists(marker))
  },
  lazy_is_asked = function() {
    f <- future(1, lazy = TRUE)
    wait_for(function() resolved(f))
    value(f)
  },
  not_resolved = function() {
    marker <- tempfile()
    f <- future(
      while (!file.exists(marker)) {
        Sys.sleep(0.02)
      }
    )
    before <- resolved(f)
    file.create(marker)
    wait_for(function() resolved(f))
    c(before, resolved(f))
  },
  resolved_in_lists = function() {
    fs <- list(future(1), 2, future(3))
    future::resolve(fs)
    resolved(fs)
  },
  resolved_with_result = function() {
    f <- future({
      cat("said\n")
      1
    })
    future::resolve(f, result = TRUE)
    value(f)
  },
  label = function() {
    f <- future(1, label = "a label")
    value(f)
    f$label
  },
  started_later = function() {
    f <- future(5, lazy = TRUE)
    outcome(future::run(f))
    outcome(value(f))
  },
  started_twice = function() {
    f <- future(5)
    error <- tryCatch(future::run(f), error = function(cnd) inherits(cnd, "FutureError"))
    list(error, value(f))
  },
  more_than_workers = function() value(lapply(1:7, function(i) future(i))),
  counted = function() future::nbrOfWorkers(),
  reset = function() {
    if (!exists("reset", envir = asNamespace("future"), inherits = FALSE)) {
      return("no reset()")
    }
    f <- future(3)
    first <- value(f)
    c(first, value(future::reset(f)))
  }
)

cases_many <- list(
  list = function() value(list(a = future(1), b = 2, future(3))),
  nested_list = function() {
    fs <- list(a = list(future(1)))
    future::resolve(fs, recursive = 2)
    c(resolved(fs$a), value(fs$a[[1]]))
  },
  matrix = function() {
    fs <- lapply(1:4, function(i) future(i))
    dim(fs) <- c(2, 2)
    value(fs)
  },
  environment = function() {
    e <- new.env()
    e$a <- future(1)
    e$b <- 2
    as.list(value(e))[c("a", "b")]
  },
  output_in_order = function() {
    value(lapply(3:1, function(i) {
      future({
        Sys.sleep(i / 10)
        cat("number", i, "\n")
        message("number ", i)
        i
      })
    }))
  },
  first_error = function() value(list(future(1), future(stop("two")), future(3))),
  errors_as_values = function() {
    lapply(value(list(future(1), future(stop("two"))), signal = FALSE), class)
  },
  quiet = function() value(list(future(print(1)), future(print(2))), stdout = FALSE),
  reduced = function() {
    if (!"reduce" %in% names(formals(utils::getS3method("value", "list", envir = asNamespace("future"))))) {
      return("no reduce")
    }
    value(lapply(1:4, function(i) future(i)), reduce = `+`)
  }
)

cases_assignment <- list(
  plain = function() {
    v %<-% (6 * 7)
    v
  },
  output = function() {
    v %<-%
      {
        cat("printed\n")
        warning("careful")
        1
      }
    v
  },
  error = function() {
    v %<-% stop("broken")
    list(outcome(v), outcome(v))
  },
  seed = function() {
    v %<-% rnorm(2) %seed% 3L
    v
  },
  globals = function() {
    v %<-% (a + 1) %globals% list(a = 1)
    v
  },
  packages = function() {
    v %<-% file_ext("a.b") %packages% "tools"
    v
  },
  quiet = function() {
    v %<-%
      {
        cat("printed\n")
        message("said")
        1
      } %stdout%
      FALSE %conditions%
      character()
    v
  },
  lazy = function() {
    v %<-% 3 %lazy% TRUE
    v
  },
  label = function() {
    v %<-% 3 %label% "named"
    c(future::futureOf(v)$label, v)
  },
  into_an_environment = function() {
    e <- new.env()
    e$a %<-% 1
    e[["b"]] %<-% 2
    future::futureAssign("c", 3, assign.env = e)
    c(e$a, e$b, e$c)
  },
  into_a_listenv = function() {
    if (!requireNamespace("listenv", quietly = TRUE)) {
      return("no listenv")
    }
    x <- listenv::listenv()
    for (i in 1:3) {
      x[[i]] %<-% i^2
    }
    x$name %<-% "by name"
    as.list(x)
  }
)

cases_nested <- list(
  inner = function() {
    value(future({
      a <- future::value(future::future(2))
      b <- future::future(3)
      a * future::value(b)
    }))
  },
  plan = function() {
    value(future({
      list(
        length(future::plan("list")),
        inherits(future::plan(), "sequential"),
        unname(future::nbrOfWorkers())
      )
    }))
  },
  conditions = function() {
    value(future({
      future::value(future::future({
        cat("deep\n")
        message("deep")
        stop("too deep")
      }))
    }))
  },
  seeds = function() value(future(future::value(future::future(rnorm(1), seed = 1L)))),
  plan_there = function() {
    value(future({
      future::plan(future::sequential)
      future::value(future::future(4))
    }))
    class(future::plan())[[2]] != "sequential"
  },
  levels = function() {
    outer <- future::plan()
    old <- future::plan(list(outer, future::sequential))
    on.exit(future::plan(old))
    value(future(inherits(future::plan(), "sequential")))
  },
  workers_inside = function() {
    outer <- future::plan()
    old <- future::plan(list(outer, future::tweak(future::multisession, workers = I(2))))
    on.exit(future::plan(old))
    value(future({
      n <- unname(future::nbrOfWorkers())
      v <- future::value(lapply(1:3, function(i) future::future(i)))
      # Closes its connections, which future would warn of.
      future::plan(future::sequential)
      list(n, v)
    }))
  }
)

test_that("the life of futures, of several and of nested ones is that of plan(multisession)", {
  expect_conformance(list(
    life = cases_life,
    many = cases_many,
    assignment = cases_assignment,
    nested = cases_nested
  ))
})

test_that("a future that was cancelled can be reset and gives its value", {
  skip_if_not(starburst:::has_backend_api(), "future before 1.40 has no cancel()")
  # Not compared: multisession of future 1.75 cannot always change its plan after cancel().
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  marker <- tempfile()
  f <- future({
    if (file.exists(marker)) {
      "again"
    } else {
      file.create(marker)
      Sys.sleep(600)
    }
  })
  wait_for(function() file.exists(marker))
  future::cancel(f)
  expect_error(value(f), class = "FutureInterruptError")
  expect_identical(value(future::reset(f)), "again")
})
