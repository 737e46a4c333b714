# Promises of the documentation of future about one future: each case gives the same on plan(starburst) and on
# plan(multisession).

future <- future::future
value <- future::value
resolved <- future::resolved

cases_values <- list(
  kinds = function() {
    value(future(list(
      NULL,
      NA,
      1L,
      pi,
      1i,
      "text",
      raw(2),
      as.Date("2024-02-29"),
      factor(c("a", "b")),
      quote(a + b),
      format(y ~ x),
      mtcars
    )))
  },
  s4 = function() isVirtualClass(value(future(methods::getClass("VIRTUAL")))),
  environment = function() value(future(list2env(list(a = 1))))$a,
  closure = function() {
    add <- value(future({
      n <- 3
      function(x) x + n
    }))
    add(4)
  },
  large = function() sum(value(future(as.numeric(seq_len(1e6))))),
  condition_as_value = function() value(future(simpleError("only a value"))),
  try_error = function() class(value(future(try(stop("tried"), silent = TRUE)))),
  visible = function() value(future(2)),
  invisible = function() value(future(invisible(2))),
  assignment = function() value(future(x <- 2)),
  statement_after_invisible = function() {
    value(future({
      invisible(1)
      2
    }))
  },
  leaving_early = function() outcome(value(future((function() return(8))() + 1))),
  on_exit = function() {
    value(future((function() {
      on.exit(cat("left\n"))
      cat("entered\n")
    })()))
  },
  unevaluated = function() value(future(bquote(.(1) + 2), substitute = FALSE)),
  quoted = function() {
    code <- quote(1 + 2)
    value(future(code, substitute = FALSE))
  },
  called = function() value(future::futureCall(function(a, b) a - b, args = list(b = 1, a = 5))),
  twice = function() {
    f <- future({
      cat("printed\n")
      message("said")
      9
    })
    c(value(f), value(f))
  }
)

cases_output <- list(
  several_lines = function() {
    value(future({
      cat("no end of line")
      print(1:3)
      cat("\n\nlast")
    }))
  },
  other_alphabets = function() {
    value(future({
      cat("\u00fc\u20ac\n")
      message("\u00fc")
      "\u00fc"
    }))
  },
  not_kept = function() value(future(print(1), stdout = FALSE)),
  not_kept_either = function() value(future(print(1), stdout = NA)),
  dropped = function() {
    f <- future(cat("once\n"), stdout = structure(TRUE, drop = TRUE))
    value(f)
    value(f)
  },
  not_relayed = function() value(future(print(1)), stdout = FALSE),
  under_sink = function() {
    value(future({
      held <- utils::capture.output(print("held"))
      cat("free\n")
      held
    }))
  }
)

cases_conditions <- list(
  in_order = function() {
    value(future({
      warning("one")
      message("two")
      signalCondition(structure(class = c("odd", "condition"), list(message = "three", call = NULL)))
      warning("four", call. = FALSE)
    }))
  },
  of_own_class = function() {
    value(future({
      message(structure(
        class = c("mine", "message", "condition"),
        list(message = "m\n", call = NULL, data = 1:3)
      ))
      warning(structure(class = c("mine", "warning", "condition"), list(message = "w", call = NULL)))
    }))
  },
  with_data = function() {
    got <- NULL
    withCallingHandlers(
      value(future(signalCondition(structure(
        class = c("odd", "condition"),
        list(message = "", call = NULL, data = 7)
      )))),
      odd = function(cnd) got <<- cnd$data
    )
    got
  },
  none = function() {
    value(future(
      {
        message("m")
        warning("w")
      },
      conditions = character()
    ))
  },
  chosen = function() {
    value(future(
      {
        message("m")
        warning("w")
      },
      conditions = "warning"
    ))
  },
  excluded = function() {
    value(future(
      {
        message("m")
        warning("w")
      },
      conditions = structure("condition", exclude = "message")
    ))
  },
  muffled_there = function() {
    value(future({
      suppressMessages(message("m"))
      suppressWarnings(as.integer("x"))
    }))
  },
  immediate = function() {
    got <- 0
    withCallingHandlers(
      value(future({
        signalCondition(structure(
          class = c("immediateCondition", "condition"),
          list(message = "", call = NULL)
        ))
        signalCondition(structure(
          class = c("immediateCondition", "condition"),
          list(message = "", call = NULL)
        ))
        1
      })),
      immediateCondition = function(cnd) got <<- got + 1
    )
    got
  }
)

cases_errors <- list(
  plain = function() value(future(stop("broken"))),
  without_call = function() value(future(stop("broken", call. = FALSE))),
  of_own_class = function() {
    value(future(stop(structure(
      class = c("mine", "error", "condition"),
      list(message = "m", call = NULL, data = 1)
    ))))
  },
  with_data = function() {
    error <- structure(class = c("mine", "error", "condition"), list(message = "m", call = NULL, data = 1:3))
    tryCatch(value(future(stop(error))), mine = function(cnd) cnd$data)
  },
  of_rlang = function() {
    cnd <- tryCatch(value(future(rlang::abort("a", class = "mine", field = 2))), error = identity)
    list(class(cnd), cnd$field, inherits(cnd, "mine"))
  },
  after_output = function() {
    value(future({
      print("before")
      warning("careful")
      stop("broken")
    }))
  },
  not_signalled = function() {
    class(value(future(stop("broken")), signal = FALSE))
  },
  again = function() {
    f <- future(stop("broken"))
    list(outcome(value(f)), outcome(value(f)), resolved(f))
  },
  # The message has the process and the time in it.
  of_a_package = function() outcome(value(future(1, packages = "no.such.package")))[[1]],
  early = function() {
    f <- future(stop("early"), earlySignal = TRUE)
    list(outcome(wait_for(function() resolved(f))), outcome(resolved(f)), outcome(value(f)))
  },
  early_warning = function() {
    f <- future(
      {
        message("m")
        warning("w")
        3
      },
      earlySignal = TRUE
    )
    wait_for(function() resolved(f))
    value(f)
  },
  caught_there = function() {
    value(future(tryCatch(stop("x"), error = function(e) "caught", finally = cat("at last\n"))))
  }
)

cases_globals <- list(
  frozen = function() {
    a <- 1
    f <- future(a + 1)
    a <- 10
    c(value(f), a)
  },
  frozen_when_lazy = function() {
    a <- 1
    f <- future(a + 1, lazy = TRUE)
    a <- 10
    value(f)
  },
  nested_functions = function() {
    one <- function(x) two(x) + 1
    two <- function(x) if (x > 0) three(x - 1) else 0
    three <- function(x) one(x) * 2
    value(future(one(2)))
  },
  operators = function() {
    `%+%` <- function(a, b) paste(a, b)
    value(future("a" %+% "b"))
  },
  formulas = function() {
    data <- data.frame(x = 1:5, y = c(2, 4, 6, 8, 11))
    power <- function(x) x^2
    value(future(stats::coef(stats::lm(y ~ power(x), data = data))))
  },
  named_as_of_base = function() {
    c <- 1
    T <- 0
    sum <- function(...) "mine"
    value(future(list(c, T, sum(1, 2))))
  },
  missing = function() outcome(value(future(no_such_thing + 1))),
  missing_argument = function() outcome((function(a) value(future(missing(a))))()),
  hidden = function() {
    a_hidden_one <- 1
    outcome(value(future(get("a_hidden_one"))))
  },
  given = function() value(future(a * b, globals = list(a = 6, b = 7))),
  named = function() {
    a <- 6
    value(future(get("a"), globals = "a"))
  },
  added = function() {
    a <- 6
    b <- 7
    value(future(get("a") * b, globals = structure(TRUE, add = "a")))
  },
  none = function() {
    a_hidden_one <- 6
    outcome(value(future(a_hidden_one, globals = FALSE)))
  },
  dots = function() {
    f <- function(...) value(future(list(..1, ...length(), names(list(...)))))
    f(a = 1, 2, b = "x")
  },
  changed_there = function() {
    a <- 1
    b <- list(x = 1)
    value(future({
      a <- a + 1
      b$x <- 2
      c(a, b$x)
    })) +
      c(a, b$x)
  },
  assigned_outwards = function() {
    a <- 1
    c(value(future(a <<- 2)), a)
  },
  in_loops = function() {
    fs <- list()
    for (i in 1:3) {
      fs[[i]] <- local({
        j <- i
        future(i * 10 + j)
      })
    }
    value(fs)
  },
  left_behind = function() {
    value(future({
      left_behind_there <- 1
      NULL
    }))
    exists_there <- function() exists("left_behind_there", envir = globalenv())
    c(value(future(exists_there())), value(future(exists_there())))
  },
  packages = function() value(future(file_ext("a.b"), packages = "tools")),
  packages_found = function() value(future("package:tools" %in% search(), packages = "tools"))
)

cases_state <- list(
  options = function() {
    value(future(options(digits = 3)))
    unlist(value(lapply(1:4, function(i) future(getOption("digits")))))
  },
  working_directory = function() {
    value(future(setwd(tempdir())))
    length(unique(unlist(value(lapply(1:4, function(i) future(basename(getwd()))))))) == 1L
  },
  cores = function() value(future(unname(parallelly::availableCores()))) > 0,
  interactive = function() value(future(interactive()))
)

cases_random <- list(
  with_seed = function() {
    set.seed(1)
    list(value(future(rnorm(2), seed = TRUE)), value(future(rnorm(2), seed = TRUE)))
  },
  of_a_number = function() value(future(runif(3), seed = 42L)),
  of_a_stream = function() {
    value(future(runif(3), seed = c(10407L, 1:6)))
  },
  kind = function() value(future(RNGkind()[[1]], seed = TRUE)),
  state_here = function() {
    set.seed(1)
    value(future(rnorm(1), seed = TRUE))
    runif(1)
  },
  state_here_without = function() {
    set.seed(1)
    value(future(1))
    runif(1)
  },
  in_the_order_of_creation = function() {
    set.seed(1)
    fs <- lapply(1:4, function(i) future(rnorm(1), seed = TRUE))
    value(rev(fs))
  },
  misused = function() class(value(future(rnorm(1), label = "draws"))),
  misused_is_an_error = function() {
    withr::local_options(future.rng.onMisuse = "error")
    class(outcome(value(future(rnorm(1), label = "draws"))))
  },
  misused_on_purpose = function() {
    withr::local_options(future.rng.onMisuse = "ignore")
    class(value(future(rnorm(1))))
  },
  without_stream = function() class(value(future(rnorm(1), seed = NULL)))
)

test_that("values, output, conditions, errors, globals and random numbers are those of plan(multisession)", {
  expect_conformance(list(
    value = cases_values,
    output = cases_output,
    condition = cases_conditions,
    error = cases_errors,
    global = cases_globals,
    state = cases_state,
    random = cases_random
  ))
})
