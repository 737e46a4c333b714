test_that("the death of R is told in words, costs attempts, and spares the other tasks", {
  local_store()
  session <- local_session(workers = 1)
  crash <- session$submit(tools::pskill(Sys.getpid(), 11))
  quits <- session$submit(quit("no", status = 3))
  killed <- session$submit(tools::pskill(Sys.getpid(), 9))
  fine <- session$submit(quote(1 + 1))
  out <- session$collect(wait = TRUE, timeout = 120)
  expect_identical(out[[fine]], 2)
  for (id in c(crash, quits, killed)) {
    expect_s3_class(out[[id]], "starburst_error_worker_lost")
  }
  expect_match(
    out[[crash]]$message,
    "lost 3 of 3 attempts: R was ended by signal 11 (segmentation fault)",
    fixed = TRUE
  )
  expect_match(out[[crash]]$message, "caught segfault", fixed = TRUE)
  expect_match(out[[quits]]$message, "exit code 3", fixed = TRUE)
  expect_match(out[[killed]]$message, "out of memory is the usual cause", fixed = TRUE)
  expect_match(session$logs(crash), "caught segfault", fixed = TRUE)
})

test_that("a future whose R dies is an interrupted future", {
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  f <- future::future(quit("no"))
  cnd <- expect_error(future::value(f), class = "FutureInterruptError")
  expect_match(conditionMessage(cnd), "did the task call quit()", fixed = TRUE)
  expect_identical(future::value(future::future("next")), "next")
})

test_that("a time limit ends only the task that is over it", {
  local_store()
  session <- local_session(workers = 1, timeout = 2)
  slow <- session$submit(Sys.sleep(600))
  fast <- session$submit(quote(1 + 1))
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_s3_class(out[[slow]], "starburst_error_timeout")
  expect_match(out[[slow]]$message, "limit of 2 s", fixed = TRUE)
  expect_identical(out[[fast]], 2)
})

test_that("an R that was left with children of its own is missed all the same", {
  local_store()
  session <- local_session(workers = 1)
  id <- session$submit({
    system("sleep 300 &")
    tools::pskill(Sys.getpid(), 9)
  })
  expect_s3_class(session$collect(wait = TRUE, timeout = 60)[[id]], "starburst_error_worker_lost")
})

test_that("one task leaves nothing behind for the next", {
  local_store()
  session <- local_session(workers = 1)
  leave <- quote({
    assign("left_behind", 1, envir = globalenv())
    options(digits = 3, left.behind = TRUE, pager = NULL)
    setwd("/")
    library(tools)
    set.seed(1, kind = "L'Ecuyer-CMRG")
    sink(tempfile())
  })
  look <- quote(list(
    left = exists("left_behind"),
    digits = getOption("digits"),
    new = "left.behind" %in% names(options()),
    gone = is.null(getOption("pager")),
    wd = getwd() == "/",
    attached = "package:tools" %in% search(),
    kind = RNGkind()[[1]],
    sinks = sink.number()
  ))
  clean <- list(
    left = FALSE,
    digits = 7L,
    new = FALSE,
    gone = FALSE,
    wd = FALSE,
    attached = FALSE,
    kind = "Mersenne-Twister",
    sinks = 0L
  )
  # Again, as a worker remembers what it has put back.
  for (turn in 1:2) {
    session$submit(leave)
    expect_identical(session$result(session$submit(look), timeout = 60), clean)
  }
})

test_that("workers that cannot start are told in words, and the tasks are kept", {
  local_store()
  session <- local_session(workers = 1)
  broken <- starburst:::native_config(starburst:::place_settings(), detached = TRUE)
  broken$scripts <- tempfile("nothing")
  handle <- starburst:::unwrap_native(starburst:::rs_session_attach(broken, session$id))
  other <- starburst:::StarburstSession$new(handle)
  id <- other$submit(quote(1 + 1))
  cnd <- expect_error(other$collect(wait = TRUE, timeout = 60), class = "starburst_error_worker_lost")
  expect_match(conditionMessage(cnd), "R cannot start")
  expect_identical(session$status()$pending, 1)
  expect_identical(session$collect(wait = TRUE, timeout = 60)[[id]], 2)
})

test_that("a worker refuses a session that a newer R made, and the user reads why", {
  local_store()
  settings <- starburst:::place_settings()
  config <- c(starburst:::native_config(settings, detached = TRUE), starburst:::travel_config(quote(test())))
  config$r_major <- 9
  made <- starburst:::unwrap_native(starburst:::rs_session_create(config))
  session <- starburst:::StarburstSession$new(made$handle)
  withr::defer(session$cleanup(force = TRUE))
  session$submit(quote(1 + 1))
  cnd <- expect_error(session$collect(wait = TRUE, timeout = 60), class = "starburst_error_version")
  expect_match(conditionMessage(cnd), "made by R 9.", fixed = TRUE)
  expect_identical(session$status()$pending, 1)
})

test_that("damage is an error that names the object, and is never taken for nothing", {
  for (kind in c("segments", "manifest")) {
    for (how in c("flip", "cut", "empty")) {
      store <- local_store()
      session <- local_session(workers = 1)
      session$map(1:3, identity)
      session$collect(wait = TRUE, timeout = 60)
      session$cleanup()
      damage(store, paste0("/", kind), how)
      cnd <- expect_error(
        starburst_session_attach(session$id)$collect(),
        class = "starburst_error_data"
      )
      expect_match(conditionMessage(cnd), kind)
      # It is listed as what it is, is not cleaned up by age, and goes when its user names it.
      listed <- starburst_list_sessions()
      expect_identical(listed$state[listed$session_id == session$id], "damaged")
      suppressMessages(starburst_cleanup(older_than = 0, ask = FALSE))
      expect_true(session$id %in% starburst_list_sessions()$session_id)
      suppressMessages(starburst_cleanup(session_ids = session$id, ask = FALSE))
      expect_false(session$id %in% starburst_list_sessions()$session_id)
    }
  }
})

test_that("a damaged ledger costs its own tasks, and a session beside it nothing", {
  store <- local_store()
  session <- local_session(workers = 1)
  first <- session$map(1:2, function(i) 10 * i)
  session$collect(wait = TRUE, timeout = 60)
  second <- session$map(1:2, function(i) 100 * i)
  session$collect(wait = TRUE, timeout = 60)
  session$cleanup()
  damage(store, "/ledger", "flip")
  again <- starburst_session_attach(session$id)
  all <- again$collect()
  # The second task may have a ledger of its own.
  expect_s3_class(all[[first[[1]]]], "starburst_error_data")
  expect_match(conditionMessage(all[[first[[1]]]]), "ledger")
  expect_identical(unname(all[second]), list(100, 200))
  damaged <- sum(vapply(all, inherits, NA, "starburst_error_data"))
  expect_identical(again$status()$failed, as.numeric(damaged))
  expect_identical(again$errors()$class, rep("starburst_error_data", damaged))
})

test_that("a copied session is refused under its copy's name, and the original stays", {
  skip_on_s3("it copies files")
  store <- local_store()
  session <- local_session(workers = 1)
  id <- session$submit(quote(1 + 1))
  session$collect(wait = TRUE, timeout = 60)
  copy <- file.path(store, "sessions", "copy")
  dir.create(copy)
  from <- file.path(store, "sessions", session$id)
  file.copy(list.files(from, full.names = TRUE), copy, recursive = TRUE)
  cnd <- expect_error(starburst_session_attach("copy"), class = "starburst_error_data")
  expect_match(conditionMessage(cnd), "copied or moved")
  suppressMessages(starburst_cleanup(session_ids = "copy", ask = FALSE))
  expect_false(dir.exists(copy))
  expect_identical(unname(starburst_session_attach(session$id)$collect()), list(2))
})

test_that("status(), errors() and listings read no value that a task left", {
  store <- local_store()
  session <- local_session(workers = 1)
  session$submit(stop("shown as text"))
  session$collect(wait = TRUE, timeout = 60)
  called <- 0
  namespace <- asNamespace("starburst")
  own <- namespace$rs_fetch
  replace_fetch <- function(with) {
    unlockBinding("rs_fetch", namespace)
    assign("rs_fetch", with, envir = namespace)
    lockBinding("rs_fetch", namespace)
  }
  withr::defer(replace_fetch(own))
  replace_fetch(function(...) {
    called <<- called + 1
    stop("a value was read")
  })
  status <- session$status()
  expect_identical(unname(status$recent_errors), "shown as text")
  expect_identical(session$errors()$message, "shown as text")
  expect_identical(session$errors()$class, "simpleError")
  starburst_list_sessions()
  expect_identical(called, 0)
})

test_that("a damaged result is an error of that task's collection", {
  store <- local_store()
  session <- local_session(workers = 1)
  id <- session$submit(rnorm(1e5))
  session$collect(wait = TRUE, timeout = 60)
  damage(store, "/results/", "flip")
  expect_error(starburst_session_attach(session$id)$result(id), class = "starburst_error_data")
})

test_that("a directory that cannot be used is refused before anything starts", {
  skip_on_s3("it is about directories")
  file <- withr::local_tempfile(lines = "not a directory")
  withr::local_options(starburst.store = file.path(file, "store"))
  expect_error(starburst_session(workers = 1, launch_type = "LOCAL"), class = "starburst_error")
  skip_if_not(
    Sys.info()[["sysname"]] == "Linux" && dir.exists("/proc/self"),
    "needs /proc, where nobody can write"
  )
  withr::local_options(starburst.store = "/proc/self/store")
  expect_error(starburst_session(workers = 1, launch_type = "LOCAL"), class = "starburst_error")
})

test_that("a full directory is an error, and what was submitted goes on once there is room", {
  skip_on_s3("a bucket is never full")
  directory <- withr::local_tempdir()
  local_small_disk(directory, "600k")
  withr::local_options(starburst.store = directory)
  session <- local_session(workers = 1)
  x <- as.raw(sample(0:255, 5e5, replace = TRUE))
  y <- as.raw(sample(0:255, 5e5, replace = TRUE))
  a <- session$submit(length(x))
  b <- session$submit(length(y))
  expect_error(session$collect(wait = TRUE, timeout = 60), class = "starburst_error_unavailable")
  system2("mount", c("-o", "remount,size=100m", directory))
  expect_equal(unname(session$collect(wait = TRUE, timeout = 60)), list(500000L, 500000L))
})

test_that("conditions of every make are shown, not stumbled over", {
  local_store()
  session <- local_session(workers = 1)
  odd <- function(...) structure(class = c("odd", "error", "condition"), list(...))
  session$submit(stop(odd()))
  session$submit(stop(odd(message = c("two", "lines"), call = NULL)))
  session$submit(stop(odd(message_id = 7, call = NULL)))
  session$submit(new.env())
  out <- session$collect(wait = TRUE, timeout = 60)
  expect_identical(out[[2]]$message, "two\nlines")
  expect_identical(nrow(session$errors()), 3L)
  expect_length(session$status()$recent_errors, 3)
})

test_that("a failure that another client retried is not remembered", {
  local_store()
  session <- local_session(workers = 1)
  switch_file <- tempfile()
  id <- session$submit(if (file.exists(switch_file)) "now" else stop("not yet"))
  expect_true(session$collect(wait = TRUE, timeout = 60)[[id]]$error)
  file.create(switch_file)
  other <- starburst_session_attach(session$id)
  other$retry()
  other$collect(wait = TRUE, timeout = 60)
  expect_identical(session$collect()[[id]], "now")
})

test_that("a relative store directory survives a change of R's working directory", {
  skip_on_s3("it is about directories")
  withr::local_dir(withr::local_tempdir())
  withr::local_options(starburst.store = "jobs")
  session <- local_session(workers = 1)
  id <- session$submit(quote(1 + 1))
  before <- setwd("/")
  expect_identical(session$result(id, timeout = 60), 2)
  setwd(before)
})

test_that("a plan whose store vanished says so once, and its next future makes another session", {
  skip_on_s3("it removes the directory")
  place <- local_store()
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  expect_identical(future::value(future::future(1)), 1)
  unlink(place, recursive = TRUE)
  expect_error(future::value(future::future(2)), class = "starburst_error_not_found")
  expect_identical(future::value(future::future(3)), 3)
})

test_that("a plan whose store is full says so, runs nothing twice, and goes on once there is room", {
  skip_on_s3("a bucket is never full")
  directory <- withr::local_tempdir()
  local_small_disk(directory, "3m")
  withr::local_options(starburst.store = file.path(directory, "store"))
  runs <- withr::local_tempfile()
  local_plan(starburst, workers = 1, launch_type = "LOCAL")
  f <- future::future(
    {
      cat("x", file = runs, append = TRUE)
      as.raw(sample(0:255, 5e6, replace = TRUE))
    },
    seed = TRUE
  )
  start <- proc.time()[["elapsed"]]
  cnd <- expect_error(future::value(f), class = "starburst_error_unavailable")
  expect_match(conditionMessage(cnd), "no space left")
  expect_lt(proc.time()[["elapsed"]] - start, 60)
  system2("mount", c("-o", "remount,size=40m", directory))
  size <- NULL
  wait_for(function() {
    size <<- tryCatch(length(future::value(f)), error = function(cnd) NULL)
    !is.null(size)
  })
  expect_identical(size, 5000000L)
  expect_identical(readLines(runs, warn = FALSE), "x")
})
