# Chunks of large data that cannot be had, or kept: real workers, on every store.

noise <- function(n) as.raw(sample(0:255, n, replace = TRUE))

test_that("a task whose data is gone or damaged fails with the reason, and its worker goes on", {
  place <- local_store()
  # A single strike would end a task as lost.
  withr::local_options(starburst.max_attempts = 1)
  session <- local_session(workers = 1)
  blobs <- function() grep("/blobs/", store_keys(place), value = TRUE)
  submit <- function(x) {
    before <- blobs()
    id <- session$submit(quote(length(x)), globals = list(x = x))
    session$flush()
    list(id = id, blob = setdiff(blobs(), before)[[1]])
  }
  began <- withr::local_tempfile()
  gate <- withr::local_tempfile()
  first <- session$submit({
    file.create(began)
    while (!file.exists(gate)) {
      Sys.sleep(0.05)
    }
  })
  wait_for(function() file.exists(began))
  # The worker has fetched nothing of these: it claims one task until it knows how long tasks take.
  gone <- submit(noise(3e5))
  between <- submit(noise(3e5))
  damaged <- submit(noise(3e5))
  last <- session$submit(quote(1 + 1))
  session$flush()
  damage(place, gone$blob, "gone")
  damage(place, damaged$blob, "flip")
  worker <- worker_pids(session$id)
  file.create(gate)
  out <- session$collect(wait = TRUE, timeout = 120)
  expect_s3_class(out[[gone$id]], "starburst_error_data")
  expect_match(out[[gone$id]]$message, basename(gone$blob), fixed = TRUE)
  expect_s3_class(out[[damaged$id]], "starburst_error_data")
  expect_match(out[[damaged$id]]$message, paste0(basename(damaged$blob), "` is damaged"), fixed = TRUE)
  expect_identical(out[[between$id]], 300000L)
  expect_identical(out[[last]], 2)
  expect_false(inherits(out[[first]], "condition"))
  expect_identical(worker_pids(session$id), worker)
})

test_that("a full disk under a worker's cache costs fetching chunks again and nothing else", {
  skip_if(is.null(s3_server()), "chunks that are on this machine anyway are not kept a second time")
  directory <- withr::local_tempdir()
  local_small_disk(directory, "16m")
  local_store()
  session <- local_session(workers = 1)
  # A worker keeps chunks, and its R its temporary files, in a folder of TMPDIR.
  withr::local_envvar(TMPDIR = directory)
  x <- noise(48e6)
  where <- c(1, sample(48e6, 1000), 48e6)
  ask <- function() {
    id <- session$submit(quote(list(sum(as.integer(x)), x[where])), globals = list(x = x, where = where))
    session$result(id, timeout = 120)
  }
  expect_identical(ask(), list(sum(as.integer(x)), x[where]))
  kept <- list.files(directory, "^[0-9a-f]{64}$", recursive = TRUE, full.names = TRUE)
  expect_gt(length(kept), 0)
  # The largest chunk has 4 MB: there was no room for the next one.
  free <- system2("stat", c("-f", "-c", shQuote("%a %S"), directory), stdout = TRUE)
  expect_lt(prod(as.numeric(strsplit(free, " ")[[1]])), 4.2e6)
  # With what is kept and what must be fetched again.
  expect_identical(ask(), list(sum(as.integer(x)), x[where]))
  expect_identical(session$status()$failed, 0)
})
