# A task begins with the state of R that its worker began with, whatever the task before it did.

# One worker with one R: what a task leaves would reach the next.
one_worker <- function(env = parent.frame()) {
  local_store(env)
  session <- local_session(workers = 1, env = env)
  function(expr) {
    id <- session$submit(expr, globals = FALSE)
    session$collect(id, wait = TRUE, timeout = 60)[[1]]
  }
}

# What `leave` did to R is not seen by `look`, which sees what it saw before.
expect_no_trace <- function(ask, leave, look) {
  before <- ask(look)
  ask(leave)
  expect_identical(ask(look), before)
}

test_that("what a task changes of R's state is put back for the next task", {
  ask <- one_worker()
  pid <- ask(quote(Sys.getpid()))
  changes <- list(
    option = list(quote(options(digits = 3, OutDec = ",")), quote(options("digits", "OutDec"))),
    new_option = list(quote(options(sb.new = 1)), quote(getOption("sb.new"))),
    removed_option = list(quote(options(OutDec = NULL, ts.eps = NULL)), quote(options("ts.eps"))),
    variable = list(
      quote(Sys.setenv(HOME = "/elsewhere", SB_NEW = "1")),
      quote(Sys.getenv(c("HOME", "SB_NEW")))
    ),
    removed_variable = list(quote(Sys.unsetenv("PATH")), quote(Sys.getenv("PATH"))),
    locale = list(quote(Sys.setlocale("LC_COLLATE", "C")), quote(Sys.getlocale())),
    directory = list(quote(setwd(tempdir())), quote(getwd())),
    lost_directory = list(
      quote({
        dir.create(gone <- tempfile())
        setwd(gone)
        unlink(gone, recursive = TRUE)
      }),
      quote(getwd())
    ),
    temporary_folder = list(quote(unlink(tempdir(), recursive = TRUE)), quote(file.create(tempfile()))),
    attached = list(quote(attach(list(sb_attached = 1))), quote(search())),
    detached = list(quote(detach("package:stats")), quote(c(search(), sd(1:3)))),
    libraries = list(quote(.libPaths(tempdir())), quote(.libPaths())),
    mask = list(quote(Sys.umask("000")), quote(Sys.umask(NA))),
    generator = list(quote(RNGkind("Wichmann-Hill", "Box-Muller")), quote(RNGkind())),
    device = list(quote(pdf(tempfile())), quote(grDevices::dev.list())),
    sink = list(quote(sink(tempfile())), quote(sink.number())),
    connection = list(quote(file(tempfile(), "w")), quote(nrow(showConnections()))),
    callback = list(quote(addTaskCallback(function(...) TRUE)), quote(getTaskCallbackNames())),
    hook = list(
      quote(setHook(packageEvent("tools", "onLoad"), function(...) stop("left"))),
      quote(getHook(packageEvent("tools", "onLoad")))
    ),
    message_sink = list(quote(sink(file(tempfile(), "w"), type = "message")), quote(sink.number("message"))),
    time_limit = list(
      quote(setTimeLimit(elapsed = 0.3)),
      quote(
        for (i in 1:8) {
          Sys.sleep(0.1)
        }
      )
    ),
    s3_method = list(
      quote({
        registerS3method("format", "Date", function(x, ...) "wrong", envir = baseenv())
        registerS3method("print", "sb_class", function(x, ...) "wrong", envir = baseenv())
      }),
      quote(list(format(as.Date("2020-01-01")), is.null(getS3method("print", "sb_class", optional = TRUE))))
    ),
    s4_method = list(
      quote({
        setClass("SbClass", representation(x = "numeric"), where = globalenv())
        setMethod("length", "SbClass", function(x) 99L, where = globalenv())
        setMethod("summary", "numeric", function(object, ...) "wrong", where = globalenv())
        stopifnot(length(new("SbClass")) == 99L, summary(1) == "wrong")
      }),
      quote(list(isClass("SbClass"), existsMethod("length", "SbClass"), class(summary(1))))
    ),
    global = list(quote(assign(".hidden", 1, envir = globalenv())), quote(ls(globalenv(), all.names = TRUE)))
  )
  for (change in changes) {
    expect_no_trace(ask, change[[1]], change[[2]])
  }
  # All of that without another R.
  expect_identical(ask(quote(Sys.getpid())), pid)
})

test_that("options and variables that a package sets when it is loaded stay with it", {
  folder <- local_library()
  source <- source_package(
    withr::local_tempdir(),
    "sboptions",
    code = c(
      ".onLoad <- function(...) { options(sboptions.level = 7); Sys.setenv(SBOPTIONS_HOME = 'here') }",
      "level <- function() c(getOption('sboptions.level'), Sys.getenv('SBOPTIONS_HOME'))"
    )
  )
  utils::install.packages(source, lib = folder, repos = NULL, type = "source", quiet = TRUE)
  ask <- one_worker()
  expect_identical(ask(quote(sboptions::level())), c("7", "here"))
  expect_identical(ask(quote(sboptions::level())), c("7", "here"))
  expect_identical(
    ask(quote({
      options(sboptions.level = 1)
      sboptions::level()[[1]]
    })),
    "1"
  )
  expect_identical(ask(quote(sboptions::level())), c("7", "here"))
})

test_that("what a task does to R is not taken for R's death: its value or error comes, and after one attempt", {
  local_store()
  session <- local_session(workers = 1)
  runs <- withr::local_tempfile()
  begun <- function() cat("x", file = runs, append = TRUE)
  own <- function(x) if (inherits(x, "condition")) conditionMessage(x) else x
  ids <- c(
    session$submit({
      begun()
      sink(tempfile())
      stop("under a sink")
    }),
    session$submit({
      begun()
      closed <- file(tempfile(), "w")
      sink(closed)
      close(closed)
      stop("under a closed sink")
    }),
    session$submit({
      begun()
      closeAllConnections()
      "closed all"
    }),
    session$submit({
      begun()
      invokeRestart("abort")
    }),
    session$submit({
      begun()
      lockEnvironment(globalenv(), TRUE)
      "locked"
    }),
    session$submit({
      begun()
      system("echo this is no answer of R, whatever it looks like >&4")
      "written"
    }),
    session$submit({
      begun()
      "still here"
    })
  )
  values <- lapply(unname(session$collect(ids, wait = TRUE, timeout = 60)), own)
  expect_identical(
    values,
    list(
      "under a sink",
      "under a closed sink",
      "closed all",
      "the task invoked the restart \"abort\"",
      "locked",
      "written",
      "still here"
    )
  )
  # Each of the seven ran once.
  expect_identical(readLines(runs, warn = FALSE), "xxxxxxx")
  elements <- session$map(1:5, function(i) {
    print(i)
    switch(i, i, closeAllConnections(), sink(tempfile()), invokeRestart("abort"))
    if (i == 3) stop("in an element") else i
  })
  values <- lapply(unname(session$collect(elements, wait = TRUE, timeout = 60)), own)
  expect_identical(
    values,
    list(1L, 2L, "in an element", "the task invoked the restart \"abort\"", 5L)
  )
})

test_that("an error under a sink comes back from a future, which runs once", {
  local_store()
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  log <- tempfile()
  runs <- withr::local_tempfile()
  f <- future::future({
    cat("x", file = runs, append = TRUE)
    sink(log)
    stop("my own error")
  })
  expect_error(future::value(f), "my own error")
  expect_identical(readLines(runs, warn = FALSE), "x")
})

# Names that the evaluator, future or R's own code may call while a task runs.
names_of_r <- function() {
  packages <- c("base", "stats", "utils", "methods")
  names <- unlist(lapply(packages, getNamespaceExports))
  # Names that are syntax to the parser have no own function in user code.
  sort(unique(names[make.names(names) == names]))
}

mine <- function(names) rlang::set_names(rep(list(function(...) "mine"), length(names)), names)

test_that("functions of a user that are named like those of R are the user's alone", {
  local_store()
  names <- names_of_r()
  expect_gt(length(names), 2000)
  check <- function(name) base::identical(base::get(name, base::globalenv())(), "mine")
  environment(check) <- globalenv()
  session <- local_session(workers = 1)
  calls <- vapply(
    names,
    function(name) {
      session$submit(
        quote(sb_check(sb_name)),
        globals = c(mine(name), list(sb_check = check, sb_name = name))
      )
    },
    ""
  )
  # Of elements many at once have such names.
  elements <- lapply(split(names, seq_along(names) %% 20), function(some) {
    session$map(some, check, .globals = mine(some))
  })
  ids <- c(calls, unlist(elements))
  names(ids) <- c(names, unlist(split(names, seq_along(names) %% 20)))
  values <- session$collect(ids, wait = TRUE, timeout = 120)
  right <- vapply(values, isTRUE, NA)
  expect_identical(names(ids)[!right], character())
})

test_that("a future with a function named like one of R gives what the code says", {
  local_store()
  local_plan(starburst, workers = 2, launch_type = "LOCAL")
  # Methods of generics, as R itself finds them in the global environment.
  left_out <- c("as.list.default", "Ops.numeric_version")
  names <- setdiff(names_of_r(), left_out)
  futures <- lapply(names, function(name) future::future(1 + 1, globals = mine(name)))
  values <- lapply(futures, function(f) tryCatch(future::value(f), error = conditionMessage))
  expect_identical(names[!vapply(values, identical, NA, 2)], character())
})

test_that("user code sees no name of the evaluator", {
  ask <- one_worker()
  own <- c("the", "serve", "evaluate", "at", "evaluator", "send", "restore_state", "kinds", "open_pipe")
  expect_identical(ask(bquote(Filter(exists, .(own)))), character())
})
