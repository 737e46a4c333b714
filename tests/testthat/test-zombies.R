# Workers that stand still, lose the network, or have a wrong clock: real processes, on every store.

go_on <- function(session) {
  try(session$collect(wait = TRUE, timeout = 0.2, progress = FALSE), silent = TRUE)
}

test_that("a worker that stood still for longer than its lease is a zombie, whose result does not count", {
  local_store()
  withr::local_options(starburst.lease = 3)
  session <- local_session(workers = 1)
  ran <- withr::local_tempfile()
  finish <- withr::local_tempfile()
  id <- session$submit({
    cat("ran\n", file = ran, append = TRUE)
    while (!file.exists(finish)) {
      Sys.sleep(0.05)
    }
    Sys.getpid()
  })
  wait_for(function() file.exists(ran))
  zombie <- worker_pids(session$id)
  child <- r_children(session$id)
  tools::pskill(c(zombie, child), tools::SIGSTOP)
  withr::defer(tools::pskill(c(zombie, child), tools::SIGCONT))
  # Once the lease has passed another worker is started, and takes the task over.
  wait_for(
    function() {
      go_on(session)
      length(readLines(ran)) == 2
    },
    60
  )
  # Both end the task now, the zombie first.
  file.create(finish)
  tools::pskill(c(zombie, child), tools::SIGCONT)
  value <- session$result(id, timeout = 60)
  expect_false(value %in% child)
  again <- starburst_session_attach(session$id)
  expect_identical(again$result(id), value)
  expect_identical(again$status()$total, 1)
})

test_that("a network that was gone for longer than the lease costs time and nothing else", {
  skip_if(is.null(s3_server()), "a directory has no network")
  local_store()
  withr::local_options(starburst.lease = 4)
  withr::defer(ask_s3("network", up = "true"))
  session <- local_session(workers = 2)
  ids <- session$map(1:60, function(i) {
    Sys.sleep(0.1)
    i
  })
  session$flush()
  wait_for(function() session$status()$completed > 0)
  ask_s3("network", up = "false")
  Sys.sleep(8)
  ask_s3("network", up = "true")
  out <- session$collect(wait = TRUE, timeout = 120)
  expect_identical(names(out), ids)
  expect_equal(unname(unlist(out)), 1:60)
  expect_identical(session$status()$failed, 0)
})

test_that("a network that was gone for a minute costs time and nothing else, whatever the lease", {
  skip_if(is.null(s3_server()), "a directory has no network")
  local_store()
  withr::defer(ask_s3("network", up = "true"))
  begin <- function(lease) {
    withr::local_options(starburst.lease = lease)
    session <- local_session(workers = 2, env = parent.frame(2))
    ran <- withr::local_tempfile(.local_envir = parent.frame(2))
    session$map(1:40, function(i) {
      # One string is one write, which lines of two workers cannot come between.
      cat(paste0(i, "\n"), file = ran, append = TRUE)
      Sys.sleep(0.2)
      i
    })
    session$flush()
    wait_for(function() session$status()$completed > 0)
    list(session = session, ran = ran)
  }
  # One outage for both: the first lease ends within it.
  shorter <- begin(20)
  longer <- begin(90)
  ask_s3("network", up = "false")
  Sys.sleep(60)
  ask_s3("network", up = "true")
  for (one in list(shorter, longer)) {
    out <- one$session$collect(wait = TRUE, timeout = 240)
    expect_equal(unname(unlist(out)), 1:40)
    expect_identical(one$session$status()$failed, 0)
  }
  # Nobody took over what a worker held whose lease had not ended.
  expect_identical(sort(scan(longer$ran, quiet = TRUE)), as.numeric(1:40))
})

test_that("tasks run on workers whose clock is a day wrong, in either direction", {
  faketime <- Sys.glob("/usr/lib/*/faketime/libfaketime.so.1")
  skip_if(length(faketime) == 0L, "needs libfaketime, which tools/setup.sh installs for tests")
  # With a directory the clocks of all machines must be right: deadlines are compared with them.
  skip_if(is.null(s3_server()), "a directory brings no time of its own")
  for (wrong in c("+1d", "-1d")) {
    local_store()
    session <- local_session(workers = 1, absolute_timeout = 3600)
    withr::with_envvar(
      c(LD_PRELOAD = faketime[[1]], FAKETIME = wrong, FAKETIME_DONT_FAKE_MONOTONIC = "1"),
      {
        id <- session$submit(as.numeric(Sys.time()))
        ahead <- session$result(id, timeout = 60) - as.numeric(Sys.time())
      }
    )
    expect_gt(abs(ahead), 80000)
    expect_identical(session$status()$state, "open")
  }
})

test_that("a worker that is told to stop ends what it can, gives the rest back at no cost, and says so", {
  local_store()
  session <- local_session(workers = 1)
  marker <- withr::local_tempfile()
  ids <- session$map(1:20, function(i) {
    file.create(marker)
    Sys.sleep(0.3)
    i
  })
  wait_for(function() file.exists(marker))
  told <- worker_pids(session$id)
  tools::pskill(told, tools::SIGTERM)
  wait_for(function() !any(told %in% worker_pids(session$id)))
  expect_equal(unname(unlist(session$collect(wait = TRUE, timeout = 60))), 1:20)
  workers <- session$status()$workers
  expect_true(any(grepl("told to stop", workers$state)))
})
